--- Shows a few lines in a floating window that the next movement closes.
local M = {}

---@param lines string[] Markdown
---@param name string one window for each name
function M.show(lines, name)
  local flat = vim.split(table.concat(lines, "\n"), "\n", { plain = true })
  vim.lsp.util.open_floating_preview(flat, "markdown", {
    border = "rounded",
    focus_id = "fimble." .. name,
    max_width = 100,
    wrap = true,
  })
end

return M
