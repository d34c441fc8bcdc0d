--- What is offered at the cursor now: the candidates of one answer, and which of them is shown.
--- Keeps the invariant that what is drawn fits the buffer's text at the cursor, or nothing is
--- drawn. Asks nothing; `typing` does.
local ghost = require("fimble.ghost")
local server = require("fimble.server")
local suggestions = require("fimble.suggestion")

local M = {}

local namespace = vim.api.nvim_create_namespace("fimble.anchor")

---@class fimble.Offer
---@field buf integer
---@field client vim.lsp.Client
---@field candidates fimble.Suggestion[]
---@field index integer the one that is shown
---@field anchors integer[] an extmark at the start of each candidate's range
---@field is_told table<integer, boolean> which the server knows to be shown

---@type fimble.Offer?
local offer

---@class fimble.View the shown candidate at the cursor
---@field suggestion fimble.Suggestion
---@field buf integer
---@field client vim.lsp.Client
---@field row integer
---@field col integer
---@field typed string
---@field right string
---@field rest string

--- A candidate as it stands at the cursor; nil where it does not fit any more.
---@param index integer
---@return fimble.View?
local function view_of(index)
  if not offer or offer.buf ~= vim.api.nvim_get_current_buf() then
    return nil
  end
  local suggestion = offer.candidates[index]
  local anchor = vim.api.nvim_buf_get_extmark_by_id(offer.buf, namespace, offer.anchors[index], {})
  local cursor = vim.api.nvim_win_get_cursor(0)
  local row, col = cursor[1] - 1, cursor[2]
  if not anchor[1] or anchor[1] > row or (anchor[1] == row and anchor[2] > col) then
    return nil
  end
  local typed = vim.api.nvim_buf_get_text(offer.buf, anchor[1], anchor[2], row, col, {})
  local line = vim.api.nvim_buf_get_lines(offer.buf, row, row + 1, true)[1]
  local view = {
    suggestion = suggestion,
    buf = offer.buf,
    client = offer.client,
    row = row,
    col = col,
    typed = table.concat(typed, "\n"),
    right = line:sub(col + 1, math.max(col, #line - suggestion.n_kept)),
  }
  view.rest = suggestions.rest_after(suggestion, view.typed, view.right)
  return view.rest and view or nil
end

--- The first candidate that fits, from the shown one on.
---@return fimble.View?, integer?
local function find_fitting()
  local n_candidates = offer and #offer.candidates or 0
  for step = 0, n_candidates - 1 do
    local index = (offer.index - 1 + step) % n_candidates + 1
    local view = view_of(index)
    if view then
      return view, index
    end
  end
end

---@param view fimble.View
local function tell_shown(view)
  if not offer.is_told[offer.index] then
    offer.is_told[offer.index] = true
    server.notify(view.client, "textDocument/didShowCompletion", { item = view.suggestion.item })
  end
end

--- Draw anew for the text and cursor as they are. False where nothing fits, and nothing is drawn.
---@return boolean
function M.refresh()
  local view, index = find_fitting()
  if not view then
    M.clear()
    return false
  end
  offer.index = index
  local n_candidates = #offer.candidates
  ghost.draw({
    buf = view.buf,
    row = view.row,
    col = view.col,
    rest = view.rest,
    right = view.right,
    count = n_candidates > 1 and ("%d/%d"):format(index, n_candidates) or nil,
  })
  tell_shown(view)
  return true
end

--- What is shown at the cursor, or nil.
---@return fimble.View?
function M.view()
  return offer and view_of(offer.index)
end

---@return integer
function M.count()
  return offer and #offer.candidates or 0
end

---@param buf integer
---@param row integer
---@param col integer
---@return integer
local function set_anchor(buf, row, col)
  return vim.api.nvim_buf_set_extmark(buf, namespace, row, col, { right_gravity = false })
end

--- The items that may be drawn at the moment's cursor, each text once.
---@param items table[]
---@param moment fimble.Moment
---@param client vim.lsp.Client
---@return fimble.Suggestion[]
local function read_items(items, moment, client)
  local place = {
    row = moment.row,
    col = moment.col,
    line = vim.api.nvim_get_current_line(),
    encoding = client.offset_encoding,
    fileformat = vim.bo[moment.buf].fileformat,
  }
  local found, is_known = {}, {}
  for _, item in ipairs(items) do
    local suggestion = suggestions.from_lsp(item, place)
    local rest = suggestion and suggestion.text:sub(suggestion.n_typed + 1)
    if suggestion and not is_known[rest] then
      is_known[rest] = true
      found[#found + 1] = suggestion
    end
  end
  return found
end

---@param suggestion fimble.Suggestion
---@param moment fimble.Moment
local function append(suggestion, moment)
  local index = #offer.candidates + 1
  offer.candidates[index] = suggestion
  offer.anchors[index] = set_anchor(moment.buf, moment.row, suggestion.start_col)
end

--- Offer the items of an answer, in place of what was offered. True where one is shown.
---@param items table[]
---@param moment fimble.Moment
---@param client vim.lsp.Client
---@return boolean
function M.make(items, moment, client)
  M.clear()
  local found = read_items(items, moment, client)
  if #found == 0 then
    return false
  end
  offer =
    { buf = moment.buf, client = client, candidates = {}, index = 1, anchors = {}, is_told = {} }
  for _, suggestion in ipairs(found) do
    append(suggestion, moment)
  end
  return M.refresh()
end

--- Offer the items besides what is shown, which stays the first.
---@param items table[]
---@param moment fimble.Moment
---@param client vim.lsp.Client
function M.add(items, moment, client)
  local view = M.view()
  if not view then
    M.make(items, moment, client)
    return
  end
  for _, suggestion in ipairs(read_items(items, moment, client)) do
    if suggestion.text:sub(suggestion.n_typed + 1) ~= view.rest then
      append(suggestion, moment)
    end
  end
end

--- Show another candidate, going round at the ends.
---@param step integer
function M.turn(step)
  if offer then
    offer.index = (offer.index - 1 + step) % #offer.candidates + 1
    M.refresh()
  end
end

--- Offer nothing any more.
function M.clear()
  if not offer then
    return
  end
  if vim.api.nvim_buf_is_valid(offer.buf) then
    vim.api.nvim_buf_clear_namespace(offer.buf, namespace, 0, -1)
  end
  ghost.clear(offer.buf)
  offer = nil
end

return M
