--- For `vim.lsp.enable("fimble")`, Neovim 0.11 and newer: all there is to set up.
return require("fimble.server").build_config()
