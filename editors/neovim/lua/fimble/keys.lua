--- Keys: the <Plug> names, the default keys, and falling through to what a key did before.
--- Keeps the rule that a key does Fimble's work only while there is something to do it to.
local settings = require("fimble.settings")

local M = {}

---@class fimble.Action
---@field name string in settings.keys, and with dashes in the <Plug> name
---@field run fun(): boolean true where it did something
---@field words string

---@type fimble.Action[]
local ACTIONS = {
  {
    name = "accept",
    words = "Fimble: take the suggestion",
    run = function()
      return require("fimble").accept()
    end,
  },
  {
    name = "accept_word",
    words = "Fimble: take a word of the suggestion",
    run = function()
      return require("fimble").accept_word()
    end,
  },
  {
    name = "accept_line",
    words = "Fimble: take a line of the suggestion",
    run = function()
      return require("fimble").accept_line()
    end,
  },
  {
    name = "next",
    words = "Fimble: the next suggestion",
    run = function()
      return require("fimble").next()
    end,
  },
  {
    name = "previous",
    words = "Fimble: the previous suggestion",
    run = function()
      return require("fimble").previous()
    end,
  },
  {
    name = "dismiss",
    words = "Fimble: take the suggestion away",
    run = function()
      return require("fimble").dismiss()
    end,
  },
  {
    name = "trigger",
    words = "Fimble: suggest now",
    run = function()
      return require("fimble").trigger()
    end,
  },
}

---@param action fimble.Action
---@return string
local function plug_name(action)
  return ("<Plug>(fimble-%s)"):format((action.name:gsub("_", "-")))
end

--- Name every action, for users' own maps. A <Plug> does nothing where there is nothing to do.
function M.define_plugs()
  for _, action in ipairs(ACTIONS) do
    vim.keymap.set("i", plug_name(action), function()
      action.run()
      return ""
    end, { expr = true, silent = true, desc = action.words })
  end
end

--- The user's global map of a key in insert mode, if any.
---@param lhs string
---@return table?
local function find_global_map(lhs)
  local wanted = vim.keycode(lhs)
  for _, map in ipairs(vim.api.nvim_get_keymap("i")) do
    if vim.keycode(map.lhs) == wanted or map.lhsraw == wanted or map.lhsrawalt == wanted then
      return map
    end
  end
end

--- The keys that a map stands for, as if it had been typed.
---@param map table
---@return string
local function keys_of(map)
  if not map.callback then
    local rhs = map.rhs or ""
    if map.expr == 1 then
      return tostring(vim.api.nvim_eval(vim.keycode(rhs)))
    end
    return vim.keycode(rhs)
  end
  if map.expr == 1 then
    local result = map.callback() or ""
    return map.replace_keycodes == 1 and vim.keycode(result) or result
  end
  M.pending_callback = map.callback
  return vim.keycode('<Cmd>lua require("fimble.keys").pending_callback()<CR>')
end

--- Type what a key means without Fimble.
---@param lhs string
local function fall_through(lhs)
  local map = find_global_map(lhs)
  local keys = map and keys_of(map) or vim.keycode(lhs)
  local may_remap = map ~= nil and map.noremap == 0
  vim.api.nvim_feedkeys(keys, may_remap and "im" or "in", false)
end

--- Whether a snippet waits for <Tab> to go on, and <Tab> is mapped to do so: by Neovim since 0.11,
--- else by the user. Then the key is the snippet's.
---@param lhs string
---@return boolean
local function is_snippets(lhs)
  local is_waiting = vim.keycode(lhs) == "\t" and vim.snippet.active({ direction = 1 })
  return is_waiting and find_global_map(lhs) ~= nil
end

---@param action fimble.Action
---@param lhs string
---@param buf integer
local function map(action, lhs, buf)
  vim.keymap.set("i", lhs, function()
    if is_snippets(lhs) or not action.run() then
      fall_through(lhs)
    end
    return ""
  end, { buffer = buf, expr = true, silent = true, desc = action.words })
end

--- Give a buffer the keys of the settings. A key or an action that the user mapped is left alone.
---@param buf integer
function M.map_defaults(buf)
  local keys = settings.current.keys
  if not keys then
    return
  end
  vim.api.nvim_buf_call(buf, function()
    for _, action in ipairs(ACTIONS) do
      local lhs = keys[action.name]
      local is_taken = lhs and vim.fn.maparg(lhs, "i", false, true).buffer == 1
      if lhs and not is_taken and vim.fn.hasmapto(plug_name(action), "i") == 0 then
        map(action, lhs, buf)
      end
    end
  end)
end

return M
