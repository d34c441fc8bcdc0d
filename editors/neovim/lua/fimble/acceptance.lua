--- Takes what is shown into the text, whole or in part, as one step of undo, and tells the server.
--- Owns the edit; what remains is drawn by whoever attends to typing.
local offer = require("fimble.offer")
local server = require("fimble.server")
local suggestions = require("fimble.suggestion")

local M = {}

--- Put text at the cursor, in place of some bytes right of it, and go to its end.
---@param view fimble.View
---@param text string
---@param n_replaced integer
local function insert_text(view, text, n_replaced)
  local lines = vim.split(text, "\n", { plain = true })
  local row, col = view.row, view.col
  vim.api.nvim_buf_set_text(view.buf, row, col, row, col + n_replaced, lines)
  local end_col = #lines[#lines] + (#lines == 1 and col or 0)
  vim.api.nvim_win_set_cursor(0, { row + #lines, end_col })
end

---@param view fimble.View
local function tell_accepted(view)
  local command = view.suggestion.item.command
  if command then
    local params = { command = command.command, arguments = command.arguments }
    server.request(view.client, "workspace/executeCommand", params, function() end, view.buf)
  end
end

---@param view fimble.View
---@param n_bytes integer of the suggestion's text, from its start
local function tell_partly_accepted(view, n_bytes)
  server.notify(view.client, "textDocument/didPartiallyAcceptCompletion", {
    item = view.suggestion.item,
    acceptedLength = suggestions.count_accepted_utf16(view.suggestion, n_bytes),
  })
end

--- Insert a part of what is shown now. Runs where text may be changed.
---@param part fimble.Part
function M.insert(part)
  local view = offer.view()
  if not view then
    return
  end
  local text = suggestions.first_part(view.rest, part)
  insert_text(view, text, suggestions.count_replaced(view.rest, text, view.right))
  if text == view.rest then
    offer.clear()
    tell_accepted(view)
  else
    tell_partly_accepted(view, #view.typed + #text)
    offer.refresh()
  end
end

--- Accept a part of what is shown; false, and nothing happens, where nothing is shown.
--- May be called from an expression mapping: the edit follows as typed keys, between two <C-g>u,
--- which make it a step of undo for itself.
---@param part fimble.Part
---@return boolean
function M.accept(part)
  if not offer.view() then
    return false
  end
  local command = ('<Cmd>lua require("fimble.acceptance").insert("%s")<CR>'):format(part)
  vim.api.nvim_feedkeys(vim.keycode("<C-g>u" .. command .. "<C-g>u"), "in", false)
  return true
end

return M
