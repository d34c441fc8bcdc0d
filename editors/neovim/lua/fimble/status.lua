--- What the servers last said of themselves, and the words for the status line.
--- Owns those notes. Sends nothing and starts nothing.
local M = {}

---@class fimble.Note the parameters of `didChangeStatus`
---@field kind "Normal"|"Warning"|"Error"|"Inactive"
---@field busy boolean
---@field message string

---@type table<integer, fimble.Note> by client
local notes = {}
---@type table<integer, integer?> by client: how far the model is loaded
local percents = {}

local function tell()
  vim.schedule(function()
    pcall(vim.api.nvim_exec_autocmds, "User", { pattern = "FimbleStatus", modeline = false })
    vim.cmd.redrawstatus()
  end)
end

--- The handler of `didChangeStatus`.
---@param note fimble.Note
---@param context { client_id: integer }
function M.take_note(_, note, context)
  notes[context.client_id] = note
  tell()
end

--- The server reports how far it is with loading.
---@param client_id integer
---@param value table the `value` of `$/progress`
function M.take_progress(client_id, value)
  percents[client_id] = value.kind ~= "end" and value.percentage or nil
  tell()
end

--- A client is gone, and what it said with it.
---@param client_id integer
function M.forget(client_id)
  notes[client_id], percents[client_id] = nil, nil
  tell()
end

---@param client_id integer
---@return fimble.Note?
function M.note(client_id)
  return notes[client_id]
end

---@class fimble.Circumstances
---@field client_id? integer the client that serves the buffer
---@field is_paused boolean
---@field is_on boolean

--- A few words for the status line; empty where Fimble has no part in the buffer.
---@param circumstances fimble.Circumstances
---@return string
function M.words(circumstances)
  if not circumstances.client_id then
    return ""
  elseif circumstances.is_paused then
    return "fimble: paused"
  elseif not circumstances.is_on then
    return "fimble: off here"
  end
  local note, percent = notes[circumstances.client_id], percents[circumstances.client_id]
  if not note or note.kind == "Normal" then
    local is_busy = note == nil or note.busy
    return "fimble"
      .. (percent and (": loading %d/100"):format(percent) or is_busy and " ..." or "")
  end
  local word = { Warning = "warning", Error = "error", Inactive = "off" }
  return "fimble: " .. word[note.kind]
end

return M
