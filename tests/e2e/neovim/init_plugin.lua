-- A user's configuration with the plugin, for the tests. The server to start is in the environment.
vim.o.swapfile = false
vim.g.loaded_python3_provider = 0 -- looking for it takes seconds
vim.o.termguicolors = true
vim.o.cmdheight = 2
vim.o.hidden = true
vim.opt.runtimepath:prepend(vim.env.FIMBLE_PLUGIN)
vim.api.nvim_set_hl(0, "FimbleGhost", { fg = "#808080", italic = true })
vim.api.nvim_set_hl(0, "FimbleCount", { fg = "#606060" })
vim.g.notes = {}
vim.notify = function(words) -- kept, so that no message fills the screen
  local notes = vim.g.notes
  notes[#notes + 1] = words
  vim.g.notes = notes
end
if vim.env.FIMBLE_MAPS then
  vim.cmd(vim.env.FIMBLE_MAPS)
end
local setup = vim.env.FIMBLE_SETUP
if setup ~= "none" then
  local given = vim.json.decode(setup)
  given.cmd = vim.json.decode(vim.env.FIMBLE_CMD)
  require("fimble").setup(given)
else
  vim.lsp.config("fimble", { cmd = vim.json.decode(vim.env.FIMBLE_CMD) })
  vim.lsp.enable("fimble")
end
