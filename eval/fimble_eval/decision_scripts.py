"""What the files are made of that decisions are timed in, and what is typed in them.

Owns one script a language: a unit that is repeated to some thousand lines, `§` standing for its
number and `<|>` for a place where a line is typed, and that line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fimble_eval.data_scripts import CSS, HTML, JSON, MARKDOWN, SQL, TOML, YAML, Script

__all__ = ["SCRIPTS", "Script"]


_PYTHON = Script(
    unit='''class Shelf§(Base):
    """Holds what belongs to row §."""

    def put(self, item: str, *, at: int = §) -> None:<|>
        for index, other in enumerate(self.items[at:]):<|>
            if other.name == item and not self.is_full:
                raise ShelfError(f"{item} is at {index}")
            self.counts[other] = [1, 2, §]
        self.items.append(item)


''',
    typed="\n        if item in self.known:\n            return [a for a in self(item)]\n",
)
_SCRIPT_UNIT = """export class Shelf§ extends Base {
  counts = new Map();

  put(item, at = §) {<|>
    this.items.slice(at).forEach((other, index) => {<|>
      if (other.name === item && !this.isFull) {
        throw new Error(`${item} is at ${index}`);
      }
      this.counts.set(other, §);<|>
    });
  }
}

"""
_SCRIPT_TYPED = "\n    if (this.known.has(item)) {\n      return this.all.map((a) => a.b);\n    }\n"
_TYPED_UNIT = (
    _SCRIPT_UNIT.replace("Shelf§ extends Base", "Shelf§<T extends Row> implements Base<T>")
    .replace("counts = new Map();", "private counts: Map<string, number> = new Map();")
    .replace("(item, at = §)", "(item: string, at: number = §): void")
)
_TSX_UNIT = """export function Shelf§({ items, onPick }: ShelfProps): JSX.Element {
  const [open, setOpen] = useState<boolean>(false);<|>
  const shown = items.filter((item) => item.row === § && !item.isHidden);<|>
  return (
    <ul className="shelf" onClick={() => setOpen(!open)}>
      {shown.map((item) => (
        <li key={item.id} title={`row ${item.row}`}>
          {item.name} <b>§</b>
        </li>
      ))}
    </ul>
  );
}

"""
_GO = Script(
    unit="""// Shelf§ holds what belongs to row §.
type Shelf§ struct {
	Base
	items  []string
	counts map[string]int
}

func (s *Shelf§) Put(item string, at int) error {<|>
	for index, other := range s.items[at:] {<|>
		if other == item && !s.full {
			return fmt.Errorf("%s is at %d", item, index)
		}
		s.counts[other] += §<|>
	}
	s.items = append(s.items, item)
	return nil
}

""",
    typed="\n\tif n, ok := s.known[item]; ok {\n\t\treturn s.fail([]int{1, n})\n\t}\n",
)
_RUST = Script(
    unit="""/// Holds what belongs to row §.
pub struct Shelf§<'a, T: Row> {
    items: Vec<&'a T>,
    counts: HashMap<String, usize>,
}

impl<'a, T: Row> Shelf§<'a, T> {
    pub fn put(&mut self, item: &'a T, at: usize) -> Result<(), ShelfError> {<|>
        for (index, other) in self.items[at..].iter().enumerate() {<|>
            if other.name() == item.name() && !self.is_full {
                return Err(ShelfError::new(format!("{} is at {}", item.name(), index)));
            }
            *self.counts.entry(other.name()).or_default() += §;<|>
        }
        self.items.push(item);
        Ok(())
    }
}

""",
    typed=(
        "\n        if let Some(n) = self.known.get(item) {\n"
        "            return self.all.iter().map(|a| a + n).sum();\n        }\n"
    ),
)
_JAVA = Script(
    unit="""/** Holds what belongs to row §. */
class Shelf§<T extends Row> extends Base<T> {
    private final Map<String, Integer> counts = new HashMap<>();

    public void put(String item, int at) throws ShelfException {<|>
        for (int i = at; i < items.size(); i++) {<|>
            if (items.get(i).name().equals(item) && !isFull) {
                throw new ShelfException(item + " is at " + i);
            }
            counts.merge(items.get(i).name(), §, Integer::sum);<|>
        }
        items.add(new Row(item));
    }
}

""",
    typed=(
        "\n        if (known.containsKey(item)) {\n"
        "            return all.stream().map(a -> a.b()).toList();\n        }\n"
    ),
)
_C = Script(
    unit="""/* Holds what belongs to row §. */
struct shelf_§ {
    struct row *items;
    size_t n_items;
};

static int shelf_§_put(struct shelf_§ *shelf, const char *item, size_t at)
{<|>
    for (size_t i = at; i < shelf->n_items; ++i) {<|>
        if (strcmp(shelf->items[i].name, item) == 0 && !shelf->is_full) {
            fprintf(stderr, "%s is at %zu\\n", item, i);
            return -§;
        }
        shelf->items[i].count += § << 2;<|>
    }
    return 0;
}

""",
    typed=(
        "\n    if (shelf->known[at] > 0) {\n"
        '        const char *name = find(shelf, (int)at, "a");\n    }\n'
    ),
)
_CPP = Script(
    unit="""template <typename T>
class Shelf§ : public Base<T> {
 public:
  void put(const std::string& item, size_t at = §) {<|>
    for (size_t i = at; i < items_.size(); ++i) {<|>
      if (items_[i].name() == item && !full_) {
        throw std::runtime_error("there: " + item);
      }
      counts_[items_[i]] += static_cast<int>(§ << 2);<|>
    }
  }

 private:
  std::vector<T> items_;
};

""",
    typed=(
        "\n    if (known_.count(item) > 0) {\n      auto f = [&](int a) { return a; };\n    }\n"
    ),
)
_CSHARP = Script(
    unit="""/// <summary>Holds what belongs to row §.</summary>
public class Shelf§<T> : Base<T> where T : Row
{
    private readonly Dictionary<string, int> counts = new();

    public void Put(string item, int at = §)
    {<|>
        foreach (var other in Items.Skip(at))
        {<|>
            if (other.Name == item && !IsFull)
            {
                throw new ShelfException($"{item} is at {at}");
            }
            counts[other.Name] += §;<|>
        }
        Items.Add(new Row(item));
    }
}

""",
    typed=(
        "\n        if (known.TryGetValue(item, out var n))\n        {\n"
        "            return all.Select(a => a.B + n).ToList();\n        }\n"
    ),
)
_RUBY = Script(
    unit="""# Holds what belongs to row §.
class Shelf§ < Base
  attr_reader :items, :counts

  def put(item, at: §)<|>
    items.drop(at).each_with_index do |other, index|<|>
      if other.name == item && !full?
        raise ShelfError, "#{item} is at #{index}"
      end
      counts[other] += §<|>
    end
    items << item
  end
end

""",
    typed="\n    if known.key?(item)\n      return all.map { |a| a.b }\n    end\n",
)
_PHP = Script(
    unit="""/** Holds what belongs to row §. */
class Shelf§ extends Base implements Countable
{
    private array $counts = [];

    public function put(string $item, int $at = §): void
    {<|>
        foreach (array_slice($this->items, $at) as $index => $other) {<|>
            if ($other->name === $item && !$this->isFull) {
                throw new ShelfException("{$item} is at {$index}");
            }
            $this->counts[$other->name] += §;<|>
        }
        $this->items[] = $item;
    }
}

""",
    head="<?php\n\n",
    typed=(
        "\n        if (isset($this->known[$item])) {\n"
        "            return array_map(fn($a) => $a->b, $this->all);\n        }\n"
    ),
)
_SHELL = Script(
    unit="""# Puts what belongs to row §.
put_§() {<|>
    local item="$1" at="${2:-§}"
    for other in "${items[@]}"; do<|>
        if [ "$other" = "$item" ] && [ -z "$full" ]; then
            echo "$item is at $at" >&2
            return 1
        fi
        counts=$((counts + §))<|>
    done
    items+=("$item")
}

""",
    typed='\n    if grep -q "$item" "$known"; then\n        echo "$(cat "$all" | wc -l)"\n    fi\n',
)
_LUA = Script(
    unit="""-- Holds what belongs to row §.
local Shelf§ = setmetatable({}, { __index = Base })

function Shelf§:put(item, at)<|>
  for index, other in ipairs(self.items) do<|>
    if other.name == item and not self.full then
      error(item .. " is at " .. index)
    end
    self.counts[other] = self.counts[other] + §<|>
  end
  table.insert(self.items, item)
end

""",
    typed=(
        "\n  if self.known[item] then\n"
        "    return map(self.all, function(a) return a.b end)\n  end\n"
    ),
)

SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        "python": _PYTHON,
        "javascript": Script(unit=_SCRIPT_UNIT, typed=_SCRIPT_TYPED),
        "typescript": Script(unit=_TYPED_UNIT, typed=_SCRIPT_TYPED),
        "typescriptreact": Script(
            unit=_TSX_UNIT,
            typed="\n  if (known.has(1)) {\n    return <p>{all.map((a) => a.b)}</p>;\n  }\n",
        ),
        "go": _GO,
        "rust": _RUST,
        "java": _JAVA,
        "c": _C,
        "cpp": _CPP,
        "csharp": _CSHARP,
        "ruby": _RUBY,
        "php": _PHP,
        "shellscript": _SHELL,
        "lua": _LUA,
        "html": HTML,
        "css": CSS,
        "json": JSON,
        "yaml": YAML,
        "toml": TOML,
        "sql": SQL,
        "markdown": MARKDOWN,
    }
)
