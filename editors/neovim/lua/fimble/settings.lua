--- The plugin's dials: their defaults, and the refusal of what is unknown or unfit.
--- Knows no buffers and no server; the server checks its own settings (`server`) itself.
local M = {}

---@class fimble.Keys
---@field accept? string|false take the whole suggestion
---@field accept_word? string|false
---@field accept_line? string|false
---@field next? string|false the next candidate
---@field previous? string|false
---@field dismiss? string|false
---@field trigger? string|false ask now

---@class fimble.Settings
---@field cmd string[] how the server is started
---@field automatic boolean ask while typing; without it only the trigger key asks
---@field debounce_ms integer wait after a key before asking
---@field filetypes table<string, boolean> where Fimble speaks; "*" stands for the rest
---@field keys fimble.Keys|false
---@field menu boolean Neovim's own completion menu, opened while typing
---@field server table the server's settings, like { completion = { eagerness = 0.7 } }

---@type fimble.Settings
local DEFAULTS = {
  cmd = { "fimble", "serve" },
  automatic = true,
  -- Long enough to take a burst of keys as one, short enough not to be felt.
  debounce_ms = 10,
  filetypes = { ["*"] = true },
  keys = {
    accept = "<Tab>",
    accept_word = "<M-Right>",
    accept_line = "<M-C-Right>",
    next = "<M-]>",
    previous = "<M-[>",
    dismiss = "<C-]>",
    trigger = "<M-Bslash>",
  },
  menu = false,
  server = {},
}

---@type fimble.Settings
M.current = vim.deepcopy(DEFAULTS)

---@param found any
---@return string
local function describe(found)
  return type(found) == "table" and "a table" or vim.inspect(found)
end

---@param path string
---@param expected string
---@param found any
local function refuse(path, expected, found)
  error(("fimble: expected %s for `%s`; found %s."):format(expected, path, describe(found)), 0)
end

---@param path string
---@param value any
---@param wanted string a type's name
local function check_type(path, value, wanted)
  if type(value) ~= wanted then
    refuse(path, "a " .. wanted, value)
  end
end

--- Every key of `given` must be one of `known`, so that a slip of the pen is heard of.
---@param given table
---@param known table
---@param prefix string
local function check_names(given, known, prefix)
  for name in pairs(given) do
    if known[name] == nil then
      local names = vim.tbl_keys(known)
      table.sort(names)
      refuse(prefix .. tostring(name), "one of " .. table.concat(names, ", "), name)
    end
  end
end

---@param keys any
local function check_keys(keys)
  if keys == false then
    return
  end
  check_type("keys", keys, "table")
  check_names(keys, DEFAULTS.keys --[[@as table]], "keys.")
  for name, lhs in pairs(keys) do
    if lhs ~= false then
      check_type("keys." .. name, lhs, "string")
    end
  end
end

---@param given table
local function check(given)
  check_names(given, DEFAULTS, "")
  for name, value in pairs(given) do
    if name == "keys" then
      check_keys(value)
    else
      check_type(name, value, type(DEFAULTS[name]))
    end
  end
  if given.cmd and #given.cmd == 0 then
    refuse("cmd", "a program and its arguments", given.cmd)
  end
  if given.debounce_ms and given.debounce_ms < 0 then
    refuse("debounce_ms", "0 or more", given.debounce_ms)
  end
  for filetype, wanted in pairs(given.filetypes or {}) do
    check_type("filetypes." .. filetype, wanted, "boolean")
  end
end

--- Take the user's settings over the defaults. Raises where one is unknown or unfit.
---@param given? table
function M.take(given)
  given = given or {}
  check_type("setup", given, "table")
  check(given)
  M.current = vim.tbl_deep_extend("force", DEFAULTS, given)
  if given.cmd then
    M.current.cmd = vim.deepcopy(given.cmd) -- a list is replaced, never mixed
  end
end

return M
