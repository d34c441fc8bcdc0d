--- One question to the server at a time: waits a moment, asks, and drops what comes too late.
--- Owns the timer and the running request. An answer is delivered only while buffer, text, cursor
--- and mode are those it was asked for.
local server = require("fimble.server")

local M = {}

local METHOD = "textDocument/inlineCompletion"

---@enum fimble.Trigger the numbers of LSP 3.18
M.Trigger = { INVOKED = 1, AUTOMATIC = 2 }

---@class fimble.Running
---@field client vim.lsp.Client
---@field request_id? integer

---@type fimble.Running?
local running
local timer = assert(vim.uv.new_timer())

--- Whether the cursor is where text is being written.
---@return boolean
local function is_inserting()
  return vim.api.nvim_get_mode().mode:sub(1, 1) == "i"
end

---@class fimble.Moment where and when something was asked
---@field buf integer
---@field row integer from 0
---@field col integer
---@field tick integer

---@return fimble.Moment
local function read_moment()
  local buf = vim.api.nvim_get_current_buf()
  local cursor = vim.api.nvim_win_get_cursor(0)
  local tick = vim.api.nvim_buf_get_changedtick(buf)
  return { buf = buf, row = cursor[1] - 1, col = cursor[2], tick = tick }
end

--- Stop waiting, and tell the server that nobody listens any more.
function M.cancel()
  timer:stop()
  if running and running.request_id then
    server.cancel(running.client, running.request_id)
  end
  running = nil
end

---@alias fimble.Deliver fun(items: table[], moment: fimble.Moment, client: vim.lsp.Client)

--- Ask now. `null` for an answer means that the server dropped the question: nothing is delivered.
---@param trigger fimble.Trigger
---@param deliver fimble.Deliver
function M.now(trigger, deliver)
  M.cancel()
  local moment = read_moment()
  local client = server.find(moment.buf)
  if not client or not is_inserting() then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = trigger }
  local mine = { client = client }
  running = mine
  mine.request_id = server.request(client, METHOD, params, function(error, result)
    if running ~= mine then
      return
    end
    running = nil
    if error or not result or result == vim.NIL then
      return
    end
    if vim.deep_equal(moment, read_moment()) and is_inserting() then
      deliver(result.items or result, moment, client)
    end
  end, moment.buf)
end

--- Ask when no key came for a moment.
---@param delay_ms integer
---@param trigger fimble.Trigger
---@param deliver fimble.Deliver
function M.soon(delay_ms, trigger, deliver)
  M.cancel()
  timer:start(
    delay_ms,
    0,
    vim.schedule_wrap(function()
      if is_inserting() then
        M.now(trigger, deliver)
      end
    end)
  )
end

return M
