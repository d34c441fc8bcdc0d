--- The pause, which is the server's: windows and editors that share a server pause together.
--- It holds here at once and is told to the server, which says of every change by whoever's word.
local server = require("fimble.server")
local switch = require("fimble.switch")
local typing = require("fimble.typing")

local M = {}

---@class fimble.Silence as `fimble/status` and `fimble/didChangeSilences` list them
---@field scope "session"|"language"|"file"
---@field name string
---@field seconds_left number|userdata|nil no number where it lasts until it is lifted

---@param seconds_left number|userdata|nil
local function hold(seconds_left)
  switch.pause(type(seconds_left) == "number" and seconds_left or nil)
  typing.stop()
  vim.cmd.redrawstatus()
end

--- A server says what is silent. What is silent in one file or language it keeps to by itself.
---@param silences fimble.Silence[]
local function take(silences)
  for _, silence in ipairs(silences) do
    if silence.scope == "session" then
      hold(silence.seconds_left)
      return
    end
  end
  switch.resume()
  vim.cmd.redrawstatus()
end

--- Commands without an answer yet: until it is there, what a server says is older than the user's
--- last word.
local n_unanswered = 0

--- The handler of `fimble/didChangeSilences`.
---@param params { silences: fimble.Silence[] }
function M.hear(_, params)
  if n_unanswered == 0 then
    take(params.silences)
  end
end

---@param client vim.lsp.Client
---@param command string
---@param seconds_left? number
local function tell(client, command, seconds_left)
  local silence = { scope = "session", shared = true }
  silence.minutes = seconds_left and math.max(seconds_left, 1) / 60
  local params = { command = command, arguments = { silence } }
  local method = "workspace/executeCommand"
  local request_id = server.request(client, method, params, function(_, silences)
    n_unanswered = math.max(n_unanswered - 1, 0)
    -- A server that knows no such command is asked nothing from here all the same.
    if n_unanswered == 0 and type(silences) == "table" then
      take(silences)
    end
  end)
  n_unanswered = n_unanswered + (request_id and 1 or 0)
end

---@param command string
local function tell_all(command)
  for _, client in ipairs(vim.lsp.get_clients({ name = server.NAME })) do
    tell(client, command)
  end
end

--- Ask nothing anywhere, until `resume`.
function M.pause()
  hold(nil)
  tell_all("fimble.snooze")
end

--- Go on. What other windows paused goes on too.
function M.resume()
  switch.resume()
  tell_all("fimble.wake")
  vim.cmd.redrawstatus()
end

---@type table<integer, true> by client
local met = {}

--- A server attached. The first time it hears of the pause here, or says what others paused.
---@param client vim.lsp.Client
function M.meet(client)
  if met[client.id] then
    return
  end
  met[client.id] = true
  n_unanswered = 0 -- One that died may have left some.
  if switch.is_paused() then
    tell(client, "fimble.snooze", switch.seconds_left())
    return
  end
  server.request(client, "fimble/status", vim.empty_dict(), function(error, status)
    if not error and type(status) == "table" and #(status.silences or {}) > 0 then
      take(status.silences)
    end
  end)
end

return M
