--- Mends what Neovim's own completion menus make of our entries: of several lines they insert only
--- the first, or the line breaks as NUL, and they leave what an entry replaces right of the cursor.
--- Owns where the last menu was asked for. Completion plugins insert whole entries by themselves.
local positions = require("fimble.positions")
local server = require("fimble.server")
local settings = require("fimble.settings")

local M = {}

local ACCEPTED = "fimble.accepted"

---@class fimble.MenuPlace
---@field buf integer
---@field line string
---@field col integer
---@type fimble.MenuPlace?
local asked_at

--- A request goes out: where it is for a menu, remember the line it is about.
---@param buf integer
---@param request { type: string, method: string }
function M.note_request(buf, request)
  local is_ours = request.type == "pending" and request.method == "textDocument/completion"
  if is_ours and buf == vim.api.nvim_get_current_buf() then
    local col = vim.api.nvim_win_get_cursor(0)[2]
    asked_at = { buf = buf, line = vim.api.nvim_get_current_line(), col = col }
  end
end

--- The entry that was just chosen, where it is one of ours.
---@return table? item
---@return string? word what the menu inserted
local function chosen_item()
  local completed = vim.v.completed_item
  local item = vim.tbl_get(completed, "user_data", "nvim", "lsp", "completion_item")
  local is_ours = item and item.command and item.command.command == ACCEPTED and item.textEdit
  if is_ours then
    return item, (completed.word:gsub("\n", "\0"))
  end
end

---@param client vim.lsp.Client
---@param buf integer
---@param command table
local function tell_accepted(client, buf, command)
  if not (settings.current.menu and vim.lsp.completion) then -- that menu tells by itself
    local params = { command = command.command, arguments = command.arguments }
    server.request(client, "workspace/executeCommand", params, function() end, buf)
  end
end

--- Make of the inserted word what the entry says.
---@param buf integer
---@param item table
---@param word string
---@param client vim.lsp.Client
local function mend(buf, item, word, client)
  local range, encoding = item.textEdit.range, client.offset_encoding
  local cursor = vim.api.nvim_win_get_cursor(0)
  local row, line = cursor[1] - 1, vim.api.nvim_get_current_line()
  local start_col = positions.byte_at(asked_at.line, range.start.character, encoding)
  local end_col = positions.byte_at(asked_at.line, range["end"].character, encoding)
  if range.start.line ~= row or line:sub(start_col + 1, cursor[2]) ~= word then
    return
  end
  local last_col = math.min(#line, cursor[2] + math.max(0, end_col - asked_at.col))
  local lines = vim.split(item.textEdit.newText:gsub("\r\n", "\n"), "\n", { plain = true })
  vim.api.nvim_buf_set_text(buf, row, start_col, row, last_col, lines)
  local new_col = #lines[#lines] + (#lines == 1 and start_col or 0)
  vim.api.nvim_win_set_cursor(0, { row + #lines, new_col })
  tell_accepted(client, buf, item.command)
end

--- A menu closed.
---@param buf integer
function M.on_done(buf)
  local item, word = chosen_item()
  local client = server.find(buf)
  if item and word and client and asked_at and asked_at.buf == buf then
    mend(buf, item, word, client)
  end
end

--- Open Neovim's own menu while the user types, and never let it insert unasked.
---@param client vim.lsp.Client
---@param buf integer
function M.enable(client, buf)
  if not (settings.current.menu and vim.lsp.completion) then
    return
  end
  vim.lsp.completion.enable(true, client.id, buf, { autotrigger = true })
  if vim.bo[buf].completeopt == "" then
    vim.bo[buf].completeopt = "menuone,noselect,popup"
  end
end

return M
