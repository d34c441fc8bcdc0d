--- What users call: `setup`, the actions behind the keys, and the words for a status line.
--- Thin: each function is a call or two into the module that does the work.
local acceptance = require("fimble.acceptance")
local keys = require("fimble.keys")
local menu = require("fimble.menu")
local offer = require("fimble.offer")
local pausing = require("fimble.pausing")
local server = require("fimble.server")
local settings = require("fimble.settings")
local status = require("fimble.status")
local switch = require("fimble.switch")
local typing = require("fimble.typing")

local M = {}

--- Take settings and start with the files that are opened. Without it, `vim.lsp.enable("fimble")`
--- starts with the defaults. Raises where a setting is unknown or unfit.
---@param given? table see |fimble-settings|
function M.setup(given)
  settings.take(given)
  local group = vim.api.nvim_create_augroup("fimble.start", { clear = true })
  if vim.lsp.enable then
    vim.lsp.config(server.NAME, server.build_config())
    vim.lsp.enable(server.NAME)
  else
    server.start_with_filetypes(group)
  end
end

--- A server attached to a buffer: from now on attend to it.
---@param client vim.lsp.Client
---@param buf integer
function M.on_attach(client, buf)
  server.note_attached(client, buf)
  pausing.meet(client)
  if vim.lsp.inline_completion then
    -- Neovim's own ghost text for this server would be a second one.
    vim.lsp.inline_completion.enable(false, { client_id = client.id })
  end
  menu.enable(client, buf)
  keys.map_defaults(buf)
  typing.watch(buf)
end

--- Take the whole suggestion. Like its fellows, false where nothing is shown.
---@return boolean
function M.accept()
  return acceptance.accept("all")
end

---@return boolean
function M.accept_word()
  return acceptance.accept("word")
end

---@return boolean
function M.accept_line()
  return acceptance.accept("line")
end

---@return boolean
function M.is_visible()
  return offer.view() ~= nil
end

--- Run Lua in the place of a typed key: after this mapping, before the keys that follow.
---@param code string
local function run_as_key(code)
  vim.api.nvim_feedkeys(vim.keycode("<Cmd>lua " .. code .. "<CR>"), "in", false)
end

---@return boolean
function M.dismiss()
  local was_visible = M.is_visible()
  if was_visible then
    run_as_key('require("fimble.typing").stop()')
  end
  return was_visible
end

---@param step integer
---@return boolean
local function turn(step)
  local was_visible = M.is_visible()
  if was_visible then
    run_as_key(('require("fimble.typing").turn(%d)'):format(step))
  end
  return was_visible
end

---@return boolean
function M.next()
  return turn(1)
end

---@return boolean
function M.previous()
  return turn(-1)
end

--- Suggest now, whatever the settings say of asking while typing.
---@return boolean false where no server is there to ask
function M.trigger()
  local has_server = server.find(vim.api.nvim_get_current_buf()) ~= nil
  if has_server then
    run_as_key('require("fimble.typing").trigger()')
  end
  return has_server
end

--- Words for the status line of the current buffer: "fimble", "fimble: paused", "".
---@return string
function M.statusline()
  local buf = vim.api.nvim_get_current_buf()
  local client = server.find(buf)
  return status.words({
    client_id = client and client.id,
    is_paused = switch.is_paused(),
    is_on = switch.is_on(buf),
  })
end

return M
