--- Columns: LSP's characters and Neovim's bytes, both ways, in each version of Neovim.
--- Pure. In `a😀b` the cursor after the emoji is byte 5, character 3 in UTF-16 and 2 in UTF-32.
local M = {}

local has_encodings = vim.fn.has("nvim-0.11") == 1

--- The byte in `line` that stands at an LSP character; past the end is the end.
---@param line string
---@param character integer
---@param encoding string
---@return integer
function M.byte_at(line, character, encoding)
  if encoding == "utf-8" then
    return math.min(character, #line)
  end
  if has_encodings then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local n_utf32, n_utf16 = vim.str_utfindex(line)
  local is_utf16 = encoding == "utf-16"
  local last = is_utf16 and n_utf16 or n_utf32
  return vim.str_byteindex(line, math.min(character, last), is_utf16)
end

--- How many UTF-16 units a text has.
---@param text string
---@return integer
function M.count_utf16(text)
  if has_encodings then
    return vim.str_utfindex(text, "utf-16")
  end
  local _, n_utf16 = vim.str_utfindex(text)
  return n_utf16
end

return M
