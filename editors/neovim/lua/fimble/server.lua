--- The server's process as Neovim's LSP client sees it: configured, started, found, spoken to, and
--- started again when it dies. Knows nothing of suggestions.
--- Owns the list of buffers to bring back, and how often it died of late.
local settings = require("fimble.settings")
local status = require("fimble.status")

local M = {}

M.NAME = "fimble"

local has_methods = vim.fn.has("nvim-0.11") == 1 -- client:request(), not client.request()
local SIGTERM = 15
local MAX_RESTARTS = 5
-- A server that lived so long is well again: the next death counts as the first.
local STEADY_MS = 60 * 1000

---@class fimble.Life one process, from attaching to its end
---@field config table
---@field started_ms integer
---@field bufs table<integer, true>
---@field is_wanted_back? boolean it was ended to be started again

---@type table<integer, fimble.Life> by client
local lives = {}
local n_restarts = 0

---@return table
local function build_capabilities()
  local capabilities = has_methods and { textDocument = {} }
    or vim.lsp.protocol.make_client_capabilities()
  capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
  capabilities.experimental = { fimble = { silences = true } }
  return capabilities
end

--- The server's settings as they are sent: the user's, and a quiet log unless asked for, because
--- Neovim keeps every line of it in its own.
---@return table
local function build_server_settings()
  local quiet = { server = { log_level = "warning" }, completion = { enabled = true } }
  return vim.tbl_deep_extend("force", quiet, settings.current.server)
end

--- The client's configuration. One process serves every project of this Neovim.
---@return table
function M.build_config()
  return {
    name = M.NAME,
    cmd = settings.current.cmd,
    root_markers = { ".git", ".hg", "pyproject.toml", "package.json", "go.mod", "Cargo.toml" },
    capabilities = build_capabilities(),
    init_options = { fimble = build_server_settings() },
    handlers = {
      didChangeStatus = status.take_note,
      ["fimble/didChangeSilences"] = function(...)
        require("fimble.pausing").hear(...) -- late, because it needs this module
      end,
    },
    on_exit = M.on_exit,
    reuse_client = M.is_same,
  }
end

--- The command that starts the server, as it is configured now.
---@return string[]
function M.command()
  local config = vim.lsp.config and vim.lsp.config[M.NAME]
  local cmd = config and config.cmd
  return type(cmd) == "table" and cmd or settings.current.cmd
end

--- Whether a running client will do for a configuration.
---@param client vim.lsp.Client
---@param config table
---@return boolean
function M.is_same(client, config)
  if has_methods then
    return client.name == config.name and not client:is_stopped()
  end
  return client.name == config.name and not client.is_stopped()
end

--- Start the server for a buffer, or attach the one that runs. Returns its client's id.
---@param buf integer
---@param config? table
---@return integer?
function M.start(buf, config)
  config = config or M.build_config()
  if vim.fn.executable(config.cmd[1]) == 0 then
    local words = "Fimble: expected the program `%s`; found none. See :checkhealth fimble."
    vim.notify_once(words:format(config.cmd[1]), vim.log.levels.ERROR)
    return
  end
  config = vim.tbl_extend("force", config, {
    root_dir = config.root_dir or vim.fs.root(buf, config.root_markers or {}),
  })
  return vim.lsp.start(config, { bufnr = buf, reuse_client = M.is_same })
end

--- Start for buffers as they get their filetype, where Neovim has no `vim.lsp.enable`.
---@param group integer
function M.start_with_filetypes(group)
  local function start(buf)
    if vim.api.nvim_buf_is_loaded(buf) and vim.bo[buf].buftype == "" then
      M.start(buf)
    end
  end
  vim.api.nvim_create_autocmd("FileType", {
    group = group,
    callback = function(event)
      start(event.buf)
    end,
  })
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    if vim.bo[buf].filetype ~= "" then
      start(buf)
    end
  end
end

--- The client that serves a buffer, where it can complete inline.
---@param buf integer
---@return vim.lsp.Client?
function M.find(buf)
  local client = vim.lsp.get_clients({ bufnr = buf, name = M.NAME })[1]
  local can_complete = client and client.server_capabilities.inlineCompletionProvider
  return can_complete and client or nil
end

--- Send a request; what was typed before reaches the server first. Returns its id.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param on_answer fun(error: table?, result: any)
---@param buf? integer
---@return integer?
function M.request(client, method, params, on_answer, buf)
  local is_sent, request_id
  if has_methods then
    is_sent, request_id = client:request(method, params, on_answer, buf)
  else
    is_sent, request_id = client.request(method, params, on_answer, buf)
  end
  return is_sent and request_id or nil
end

---@param client vim.lsp.Client
---@param method string
---@param params table
function M.notify(client, method, params)
  if has_methods then
    client:notify(method, params)
  else
    client.notify(method, params)
  end
end

---@param client vim.lsp.Client
---@param request_id integer
function M.cancel(client, request_id)
  if has_methods then
    client:cancel_request(request_id)
  else
    client.cancel_request(request_id)
  end
end

--- Give every running server its settings anew.
function M.send_settings()
  for _, client in ipairs(vim.lsp.get_clients({ name = M.NAME })) do
    local params = { settings = { fimble = build_server_settings() } }
    M.notify(client, "workspace/didChangeConfiguration", params)
  end
end

---@param client_id integer
---@param config table
---@param buf integer
local function remember(client_id, config, buf)
  local life = lives[client_id] or { config = config, started_ms = vim.uv.now(), bufs = {} }
  life.bufs[buf] = true
  lives[client_id] = life
end

--- Remember a buffer, to bring the server back to it.
---@param client vim.lsp.Client
---@param buf integer
function M.note_attached(client, buf)
  remember(client.id, client.config, buf)
end

--- Start again for a life's buffers. They are remembered at once: the new process may die before
--- it attaches to any.
---@param life fimble.Life
local function bring_back(life)
  for buf in pairs(life.bufs) do
    local client_id = vim.api.nvim_buf_is_loaded(buf) and M.start(buf, life.config)
    if client_id then
      remember(client_id, life.config, buf)
    end
  end
end

--- How long to wait before another start: 0.5 s, doubled each time.
---@param n_before integer
---@return integer
local function plan_wait_ms(n_before)
  return 500 * 2 ^ n_before
end

---@param life fimble.Life
local function come_back_later(life)
  if vim.uv.now() - life.started_ms > STEADY_MS then
    n_restarts = 0
  end
  if n_restarts >= MAX_RESTARTS then
    local words =
      "Fimble's server died %d times in a row. See :checkhealth fimble, :Fimble restart."
    vim.notify(words:format(n_restarts + 1), vim.log.levels.ERROR)
    return
  end
  vim.defer_fn(function()
    bring_back(life)
  end, plan_wait_ms(n_restarts))
  n_restarts = n_restarts + 1
end

--- A process ended. One that was not asked to comes back, with patience.
---@param code integer
---@param signal integer
---@param client_id integer
function M.on_exit(code, signal, client_id)
  vim.schedule(function()
    local life = lives[client_id]
    lives[client_id] = nil
    status.forget(client_id)
    local was_asked = (code == 0 and signal == 0) or signal == SIGTERM
    if not life or vim.v.exiting ~= vim.NIL then
      return
    elseif life.is_wanted_back then
      bring_back(life)
    elseif not was_asked then
      come_back_later(life)
    end
  end)
end

--- End the server and start it again with today's settings.
function M.restart()
  n_restarts = 0
  local clients = vim.lsp.get_clients({ name = M.NAME })
  for _, client in ipairs(clients) do
    for buf in pairs(client.attached_buffers) do
      remember(client.id, client.config, buf)
    end
    local life = lives[client.id]
    if life then
      life.is_wanted_back = true
      life.config.init_options = { fimble = build_server_settings() }
    end
    if has_methods then
      client:stop(true)
    else
      client.stop(true)
    end
  end
  if #clients == 0 then
    M.start(vim.api.nvim_get_current_buf())
  end
end

return M
