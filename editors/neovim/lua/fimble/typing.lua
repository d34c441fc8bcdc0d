--- What happens while a user types in a buffer: draw anew what still fits, else take it away and
--- ask. Owns the buffers' autocommands and the last text seen; drawing and asking are others' work.
local asking = require("fimble.asking")
local diagnosing = require("fimble.diagnosing")
local menu = require("fimble.menu")
local offer = require("fimble.offer")
local server = require("fimble.server")
local settings = require("fimble.settings")
local switch = require("fimble.switch")

local M = {}

---@class fimble.Seen
---@field buf? integer
---@field tick? integer
---@field row? integer
---@field col? integer
local seen = {}

---@return boolean has_text_changed
---@return boolean has_cursor_moved
local function look()
  local buf = vim.api.nvim_get_current_buf()
  local cursor = vim.api.nvim_win_get_cursor(0)
  local tick = vim.api.nvim_buf_get_changedtick(buf)
  local before = seen
  seen = { buf = buf, tick = tick, row = cursor[1], col = cursor[2] }
  local has_text_changed = before.buf ~= buf or before.tick ~= tick
  local has_cursor_moved = before.row ~= cursor[1] or before.col ~= cursor[2]
  return has_text_changed, has_text_changed or has_cursor_moved
end

--- Whether an entry of the popup menu is chosen: then the text is the menu's.
---@return boolean
local function is_menu_choosing()
  return vim.fn.pumvisible() == 1 and vim.fn.complete_info({ "selected" }).selected >= 0
end

---@param buf integer
---@return boolean
local function may_ask(buf)
  return settings.current.automatic and not switch.is_paused() and switch.is_on(buf)
end

--- Offer nothing, and ask nothing.
function M.stop()
  asking.cancel()
  offer.clear()
end

local function ask_soon()
  asking.soon(settings.current.debounce_ms, asking.Trigger.AUTOMATIC, offer.make)
end

--- Text or cursor may have changed.
local function attend()
  local has_text_changed, has_anything_changed = look()
  if is_menu_choosing() then
    M.stop()
  elseif not has_anything_changed then
    return
  elseif offer.refresh() then
    asking.cancel()
  elseif has_text_changed and may_ask(vim.api.nvim_get_current_buf()) then
    ask_soon()
  else
    asking.cancel()
  end
end

local function begin()
  look()
  if may_ask(vim.api.nvim_get_current_buf()) then
    ask_soon()
  end
end

--- Ask now, because the user said so. A pause is respected; being off in a buffer is not.
function M.trigger()
  if not switch.is_paused() then
    asking.now(asking.Trigger.INVOKED, offer.make)
  end
end

--- Show another candidate; where there is but one, ask for more and keep it as the first.
---@param step integer
function M.turn(step)
  if not offer.view() then
    return
  end
  if offer.count() > 1 then
    offer.turn(step)
    return
  end
  asking.now(asking.Trigger.INVOKED, function(items, moment, client)
    offer.add(items, moment, client)
    if offer.count() > 1 then
      offer.turn(step)
    else
      vim.api.nvim_echo({ { "Fimble has no other suggestion here." } }, false, {})
    end
  end)
end

---@param buf integer
local function tell_focus(buf)
  local client = server.find(buf)
  if client then
    local params = { textDocument = { uri = vim.uri_from_bufnr(buf) } }
    server.notify(client, "textDocument/didFocus", params)
  end
end

---@param buf integer
---@return string
local function group_name(buf)
  return "fimble.typing:" .. buf
end

--- Attend to what is typed in a buffer.
---@param buf integer
function M.watch(buf)
  local group = vim.api.nvim_create_augroup(group_name(buf), { clear = true })
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buf, callback = callback })
  end
  on("InsertEnter", begin)
  on({ "TextChangedI", "TextChangedP", "CursorMovedI" }, attend)
  on("CompleteDone", function()
    menu.on_done(buf)
  end)
  on({ "CompleteChanged", "CompleteDone" }, vim.schedule_wrap(attend))
  on({ "InsertLeave", "BufLeave", "WinLeave" }, M.stop)
  on("BufEnter", function()
    tell_focus(buf)
  end)
  on("DiagnosticChanged", function()
    diagnosing.tell(buf)
  end)
  if buf == vim.api.nvim_get_current_buf() then
    tell_focus(buf)
    if vim.api.nvim_get_mode().mode:sub(1, 1) == "i" then
      begin()
    end
  end
end

--- Attend no more.
---@param buf integer
function M.unwatch(buf)
  pcall(vim.api.nvim_del_augroup_by_name, group_name(buf))
  if buf == vim.api.nvim_get_current_buf() then
    M.stop()
  end
end

return M
