interface Row {
  name: string;
  count?: number;
}

type Kind = "a" | "b";

export function List({ rows, kind }: { rows: Row[]; kind: Kind }): JSX.Element {
  const names: string[] = [];
  for (const row of rows) {
    if (row.count === undefined) {
      names.push(row.name);
    } else {
      names.push(`${row.name} (${row.count})`);
    }
  }
  const onClick = (name: string): void => {
    try {
      window.alert(name);
    } catch (error) {
      console.error(error);
    }
  };
  switch (kind) {
    case "a":
      return <ul className="list">{names.map((name) => <li key={name}>{name}</li>)}</ul>;
    case "b":
      return (
        <div onClick={() => onClick("all")}>
          {names.length > 0 ? <b>{names[0]}</b> : <i>none</i>}
        </div>
      );
  }
}

export abstract class Store<T extends Row> {
  private readonly rows: Map<string, T> = new Map();

  abstract load(): Promise<void>;

  get(name: string): T | undefined {
    const row = this.rows.get(name);
    if (row) {
      return row;
    }
    return undefined;
  }
}
