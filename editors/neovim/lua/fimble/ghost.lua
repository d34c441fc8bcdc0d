--- Draws what is still to come of a suggestion, dim, around the text that is really there.
--- Owns the extmarks and the highlight groups; decides nothing about what is shown.
local find_in_order = require("fimble.suggestion").find_in_order

local M = {}

local namespace = vim.api.nvim_create_namespace("fimble.ghost")

--- Link the groups, unless the user's colours define them.
function M.define_highlights()
  vim.api.nvim_set_hl(0, "FimbleGhost", { default = true, link = "NonText" })
  vim.api.nvim_set_hl(0, "FimbleCount", { default = true, link = "Comment" })
end

--- Tabs as the spaces they would be: virtual text does not stop at tab stops.
---@param text string
---@param n_cells integer screen cells left of it
---@param tabstop integer
---@return string
local function expand_tabs(text, n_cells, tabstop)
  local pieces = {}
  for before, tab in text:gmatch("([^\t]*)(\t?)") do
    pieces[#pieces + 1] = before
    n_cells = n_cells + vim.fn.strdisplaywidth(before)
    if tab ~= "" then
      local n_spaces = tabstop - n_cells % tabstop
      pieces[#pieces + 1] = (" "):rep(n_spaces)
      n_cells = n_cells + n_spaces
    end
  end
  return table.concat(pieces)
end

---@class fimble.Piece
---@field offset integer bytes right of the cursor
---@field text string
---@field over boolean drawn over what is there, not between

--- Where the first line goes: between the characters right of the cursor where they come again
--- in it, else over them.
---@param first string
---@param right string
---@return fimble.Piece[]
local function plan_pieces(first, right)
  local found = find_in_order(right, first)
  if not found then
    local n_missing = vim.fn.strdisplaywidth(right) - vim.fn.strdisplaywidth(first)
    return { { offset = 0, text = first .. (" "):rep(math.max(0, n_missing)), over = true } }
  end
  local pieces, from, offset = {}, 1, 0
  found[#found + 1] = { first = #first + 1, last = #first + 1 }
  for _, at in ipairs(found) do
    if at.first > from then
      local text = first:sub(from, at.first - 1)
      pieces[#pieces + 1] = { offset = offset, text = text, over = false }
    end
    from, offset = at.last + 1, offset + at.last - at.first + 1
  end
  return pieces
end

---@class fimble.Drawing
---@field buf integer
---@field row integer from 0
---@field col integer
---@field rest string what is still to come
---@field right string what stands right of the cursor and is replaced
---@field count? string like "2/3"

--- Draw, in place of whatever was drawn before in the buffer.
---@param drawing fimble.Drawing
function M.draw(drawing)
  local buf, row = drawing.buf, drawing.row
  local tabstop = vim.bo[buf].tabstop
  local lines = vim.split((drawing.rest:gsub("\r", "")), "\n", { plain = true })
  local pieces = plan_pieces(lines[1], drawing.right)
  local below = {}
  for index = 2, #lines do
    below[#below + 1] = { { expand_tabs(lines[index], 0, tabstop), "FimbleGhost" } }
  end
  local line = vim.api.nvim_buf_get_lines(buf, row, row + 1, true)[1]
  M.clear(buf)
  for _, piece in ipairs(pieces) do
    local col = drawing.col + piece.offset
    local n_cells = vim.fn.strdisplaywidth(line:sub(1, col))
    vim.api.nvim_buf_set_extmark(buf, namespace, row, col, {
      virt_text = { { expand_tabs(piece.text, n_cells, tabstop), "FimbleGhost" } },
      virt_text_pos = piece.over and "overlay" or "inline",
    })
  end
  if #below > 0 then
    vim.api.nvim_buf_set_extmark(buf, namespace, row, drawing.col, { virt_lines = below })
  end
  if drawing.count then
    vim.api.nvim_buf_set_extmark(buf, namespace, row, #line, {
      virt_text = { { drawing.count, "FimbleCount" } },
      virt_text_pos = "eol",
    })
  end
end

--- Take the drawing away.
---@param buf integer
function M.clear(buf)
  if vim.api.nvim_buf_is_valid(buf) then
    vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

return M
