"""What a timed file of a language without statements is made of: markup, data and queries.

Owns those scripts and what a script is; `decision_scripts` has the others and the table.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CSS", "HTML", "JSON", "MARKDOWN", "SQL", "TOML", "YAML", "Script"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A unit of a file, what is typed at its marks, and what stands around all units."""

    unit: str
    typed: str
    head: str = ""
    tail: str = ""


HTML = Script(
    unit="""<section id="shelf-§" class="shelf wide">
  <h2>Row §</h2>
  <ul><|>
    <li data-row="§"><a href="/rows/§">first</a></li>
    <li data-row="§"><em>second</em> &amp; last</li><|>
  </ul>
  <img src="row-§.png" alt="row §">
</section>

""",
    typed='\n    <li class="found">\n      <a href="/all?b=1">all of <b>them</b></a>\n    </li>\n',
)
CSS = Script(
    unit=""".shelf-§ > li:not(.full) {<|>
  margin: 0 auto §px;
  color: rgb(1, 2, §);<|>
  background: url("row-§.png") no-repeat;
}

@media (max-width: §px) {<|>
  .shelf-§::after {
    content: "row";
  }
}

""",
    typed="\n  border: 1px solid var(--known, #aabbcc);\n  transform: scale(1.5) rotate(3deg);\n",
)
JSON = Script(
    unit="""  {<|>
    "name": "shelf §",
    "row": §,<|>
    "items": ["first", "second", { "at": §, "full": false }],
    "counts": { "first": 1, "second": null }
  },
""",
    typed='\n    "known": {\n      "all": [1, 2, { "b": true }]\n    },',
    head="[\n",
    tail="  null\n]\n",
)
YAML = Script(
    unit="""shelf_§:<|>
  name: "row §"
  items:<|>
    - first
    - { at: §, full: false }
  counts:
    first: 1
    second: ~

""",
    typed='\n  known:\n    all: [1, 2, "b"]\n    other: { a: true }\n',
)
TOML = Script(
    unit="""[shelf.row_§]
name = "row §"<|>
at = §
items = ["first", "second", { full = false }]<|>

[shelf.row_§.counts]
first = 1
second = 2.5

""",
    typed='\nknown = [\n  "all",\n  { b = 1, c = "d" },\n]\n',
)
SQL = Script(
    unit="""CREATE TABLE shelf_§ (
    id INTEGER PRIMARY KEY,
    name VARCHAR(§) NOT NULL
);<|>

SELECT s.name, COUNT(*) AS n
FROM shelf_§ s
JOIN rows r ON r.shelf_id = s.id
WHERE s.name = 'row §' AND r.full IS NULL
GROUP BY s.name;<|>

""",
    typed="\nUPDATE known SET total = 1\nWHERE name IN (SELECT name FROM items WHERE b > 2);\n",
)
MARKDOWN = Script(
    unit="""## Row §

It holds *what* belongs to [row §](rows/§.md), and `no more`.<|>

- first
- second, with **more** to say<|>

```python
def put(item):
    return §
```

| name | at |
| ---- | -- |
| row  | §  |

""",
    typed="\n\n1. known, as `all` says\n2. *other*: see [here](b.md)\n",
)
