--- One suggestion as a value: what it replaces, what is left of it after some typing, its parts.
--- Pure: knows no buffer, no cursor and no server. Text has "\n" between lines; columns are bytes.
local positions = require("fimble.positions")

local M = {}

---@class fimble.Suggestion
---@field item table as the server sent it
---@field text string what the range becomes
---@field start_col integer where the range starts in the cursor's line
---@field tail string what stands right of the cursor and is replaced
---@field n_typed integer bytes of it that were there when it was offered
---@field n_kept integer how many bytes right of the range stay in the line

--- What a closing bracket or quote is: an editor may write one unasked.
local CLOSERS = "^[%)%]}>\"'`]+$"

---@param text string
---@param fileformat string
---@return string
local function with_newlines(text, fileformat)
  if fileformat == "dos" then
    return (text:gsub("\r\n", "\n"))
  elseif fileformat == "mac" then
    return (text:gsub("\r\n?", "\n"))
  end
  return text
end

---@class fimble.Place
---@field row integer from 0
---@field col integer
---@field line string
---@field encoding string
---@field fileformat string

--- Read an LSP item for a cursor; nil where it is nothing to draw there.
---@param item table
---@param place fimble.Place
---@return fimble.Suggestion?
function M.from_lsp(item, place)
  local start_col, end_col = place.col, place.col
  local range = item.range
  if range then
    if range.start.line ~= place.row or range["end"].line ~= place.row then
      return nil
    end
    start_col = positions.byte_at(place.line, range.start.character, place.encoding)
    end_col = positions.byte_at(place.line, range["end"].character, place.encoding)
  end
  if type(item.insertText) ~= "string" or start_col > place.col or end_col < place.col then
    return nil
  end
  local text = with_newlines(item.insertText, place.fileformat)
  local kept = place.line:sub(end_col + 1)
  if kept ~= "" and text:find("\n", 1, true) then
    -- What is kept moves to the last line of the text: then it is part of what is suggested.
    text, end_col, kept = text .. kept, #place.line, ""
  end
  local suggestion = {
    item = item,
    text = text,
    start_col = start_col,
    tail = place.line:sub(place.col + 1, end_col),
    n_typed = place.col - start_col,
    n_kept = #kept,
  }
  local typed = place.line:sub(start_col + 1, place.col)
  return M.rest_after(suggestion, typed, suggestion.tail) and suggestion or nil
end

--- One character of UTF-8.
local CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- Where each character of `wanted` stands in `text`, in order; nil where one is missing.
---@param wanted string
---@param text string
---@return { first: integer, last: integer }[]? bytes, from 1
function M.find_in_order(wanted, text)
  local found, from = {}, 1
  for character in wanted:gmatch(CHARACTER) do
    local first, last = text:find(character, from, true)
    if not first then
      return nil
    end
    found[#found + 1], from = { first = first, last = last }, last + 1
  end
  return found
end

--- Whether `right`, which stands right of the cursor now, is what the suggestion reckons with:
--- its tail, the end of it after typing over the start, or with closers that came by themselves.
---@param tail string
---@param right string
---@param rest string
---@return boolean
local function reckons_with(tail, right, rest)
  if vim.endswith(tail, right) then
    return true
  end
  local added = vim.endswith(right, tail) and right:sub(1, #right - #tail) or ""
  return added:find(CLOSERS) ~= nil and M.find_in_order(right, rest) ~= nil
end

--- What is still to come after `typed`, replacing `right`; nil where the text went elsewhere.
---@param suggestion fimble.Suggestion
---@param typed string from the range's start to the cursor
---@param right string from the cursor to what is kept
---@return string?
function M.rest_after(suggestion, typed, right)
  if #typed < suggestion.n_typed or not vim.startswith(suggestion.text, typed) then
    return nil
  end
  local rest = suggestion.text:sub(#typed + 1)
  if rest == "" or rest == right or not reckons_with(suggestion.tail, right, rest) then
    return nil
  end
  return rest
end

---@alias fimble.Part "all"|"word"|"line"

--- The first part of what is still to come. White space before a word belongs to it.
---@param rest string
---@param part fimble.Part
---@return string
function M.first_part(rest, part)
  if part == "word" then
    return rest:match("^%s*[%w_\128-\255]+") or rest:match("^%s*[^%w%s_\128-\255]+") or rest
  elseif part == "line" then
    return rest:match("^\n*[^\n]*")
  end
  return rest
end

--- How many bytes of `right` go when `part` of `rest` comes: those that do not come again later.
---@param rest string
---@param part string
---@param right string
---@return integer
function M.count_replaced(rest, part, right)
  local later = rest:sub(#part + 1)
  for start in right:gmatch("()" .. CHARACTER) do
    if M.find_in_order(right:sub(start), later) then
      return start - 1
    end
  end
  return #right
end

--- UTF-16 units of the item's own text that the first `n_bytes` of the suggestion stand for.
---@param suggestion fimble.Suggestion
---@param n_bytes integer
---@return integer
function M.count_accepted_utf16(suggestion, n_bytes)
  local taken = suggestion.text:sub(1, n_bytes)
  local n_utf16 = positions.count_utf16(taken)
  if suggestion.item.insertText:find("\r\n", 1, true) and not suggestion.text:find("\r") then
    local _, n_newlines = taken:gsub("\n", "")
    return n_utf16 + n_newlines
  end
  return n_utf16
end

return M
