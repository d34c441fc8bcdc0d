--- Where Fimble may speak: everywhere or nowhere, by filetype, by buffer; the nearest word counts.
--- Owns the pause. A buffer's word is `b:fimble_enabled`, which users may set themselves.
local settings = require("fimble.settings")

local M = {}

---@type { until_ms?: number }?
local pause

--- Silence everywhere, for some seconds or until `resume`.
---@param seconds? number
function M.pause(seconds)
  pause = { until_ms = seconds and vim.uv.now() + seconds * 1000 }
end

function M.resume()
  pause = nil
end

---@return boolean
function M.is_paused()
  return pause ~= nil and (pause.until_ms == nil or vim.uv.now() < pause.until_ms)
end

--- How long the pause goes on; nil where it has no end of its own.
---@return number?
function M.seconds_left()
  return pause and pause.until_ms and (pause.until_ms - vim.uv.now()) / 1000
end

---@param filetype string
---@return boolean
local function is_on_for(filetype)
  local wanted = settings.current.filetypes[filetype]
  if wanted == nil then
    wanted = settings.current.filetypes["*"]
  end
  return wanted ~= false
end

--- Whether Fimble speaks in a buffer of its own accord, were it not paused.
---@param buf integer
---@return boolean
function M.is_on(buf)
  local word = vim.b[buf].fimble_enabled
  if word ~= nil then
    return word ~= false and word ~= 0
  end
  return is_on_for(vim.bo[buf].filetype)
end

--- Turn it over for one buffer.
---@param buf integer
---@return boolean is_on
function M.toggle_buffer(buf)
  vim.b[buf].fimble_enabled = not M.is_on(buf)
  return M.is_on(buf)
end

--- Turn it over for a filetype; buffers that were toggled by themselves keep their word.
---@param filetype string
---@return boolean is_on
function M.toggle_filetype(filetype)
  settings.current.filetypes[filetype] = not is_on_for(filetype)
  return is_on_for(filetype)
end

return M
