// A shopping cart, for the law of the stop rule.
import { readFile } from "fs";

const RATES = { de: 0.19, fr: 0.2, "us}": 0 };

export class Cart {
  constructor(rows = []) {
    this.rows = rows;
    this.listeners = new Map();
  }

  add(row) {
    if (!row) {
      throw new Error("no row }");
    } else if (row.count > 1) {
      for (let i = 0; i < row.count; i += 1) {
        this.rows.push({ ...row, count: 1 });
      }
    } else {
      this.rows.push(row);
    }
    this.listeners.forEach((listener) => {
      listener(`added ${row.name} {`);
    });
  }

  total(country) {
    let sum = 0;
    for (const row of this.rows) sum += row.price;
    switch (country) {
      case "de":
        sum *= 1 + RATES.de;
        break;
      case "fr": {
        sum *= 1 + RATES.fr;
        break;
      }
      default:
        sum *= 1;
    }
    return sum;
  }
}

export async function load(path) {
  try {
    const text = await readFile(path, "utf-8");
    return new Cart(JSON.parse(text).filter((row) => !/^#|[/}]/.test(row.name)));
  } catch (error) {
    console.error(error);
    return new Cart();
  } finally {
    console.log("done");
  }
}

function small(x) {
  if (x < 1)
    return "less";
  else
    return "more";
}

let left = 3;
do {
  left -= 1;
} while (left > 0);
