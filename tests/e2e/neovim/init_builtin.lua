-- A user's configuration without the plugin: the block in docs/editors/neovim.md, run as it stands.
vim.o.swapfile = false
vim.o.termguicolors = true
vim.o.cmdheight = 2
vim.g.loaded_python3_provider = 0 -- looking for it takes seconds
vim.api.nvim_set_hl(0, "ComplHint", { fg = "#808080" })
assert(loadstring(vim.env.FIMBLE_SNIPPET))()
vim.lsp.config("fimble", { cmd = vim.json.decode(vim.env.FIMBLE_CMD) })
