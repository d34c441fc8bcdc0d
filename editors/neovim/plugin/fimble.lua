--- What is there without any setup: the command, the <Plug> names, the colours, and attending to
--- buffers that a server named "fimble" attaches to, however it was started.
if vim.g.loaded_fimble then
  return
end
vim.g.loaded_fimble = true

if vim.fn.has("nvim-0.10") == 0 then
  vim.notify("Fimble needs Neovim 0.10 or newer.", vim.log.levels.WARN)
  return
end

require("fimble.command").define()
require("fimble.keys").define_plugs()
require("fimble.ghost").define_highlights()

local group = vim.api.nvim_create_augroup("fimble", { clear = true })

---@param event { buf: integer, data: { client_id: integer } }
---@return vim.lsp.Client?
local function own_client(event)
  local client = vim.lsp.get_client_by_id(event.data.client_id)
  return client and client.name == "fimble" and client or nil
end

vim.api.nvim_create_autocmd("LspAttach", {
  group = group,
  callback = function(event)
    local client = own_client(event)
    if client then
      require("fimble").on_attach(client, event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd("LspDetach", {
  group = group,
  callback = function(event)
    if own_client(event) then
      require("fimble.typing").unwatch(event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd("LspProgress", {
  group = group,
  callback = function(event)
    local value = event.data.params and event.data.params.value
    if own_client(event) and value then
      require("fimble.status").take_progress(event.data.client_id, value)
    end
  end,
})

vim.api.nvim_create_autocmd("LspRequest", {
  group = group,
  callback = function(event)
    if own_client(event) then
      require("fimble.menu").note_request(event.buf, event.data.request)
    end
  end,
})

vim.api.nvim_create_autocmd("ColorScheme", {
  group = group,
  callback = require("fimble.ghost").define_highlights,
})
