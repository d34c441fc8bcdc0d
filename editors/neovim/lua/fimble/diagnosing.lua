--- What other tools complain of in a buffer, handed on to the server: it shows the model how the
--- names in the complaints are defined. Other clients' diagnostics reach editors alone.
local server = require("fimble.server")

local M = {}

local MAX_DIAGNOSTICS = 100

---@param found vim.Diagnostic
---@return table
local function to_lsp(found)
  local function place(line, character)
    return { line = line, character = character }
  end
  local start = place(found.lnum, found.col)
  local stop = place(found.end_lnum or found.lnum, found.end_col or found.col)
  return { range = { start = start, ["end"] = stop }, message = found.message }
end

--- Say what stands in a buffer now. Lines are exact; columns count bytes, and nobody reads them.
---@param buf integer
function M.tell(buf)
  local client = server.find(buf)
  if not client then
    return
  end
  local told = vim.tbl_map(to_lsp, vim.list_slice(vim.diagnostic.get(buf), 1, MAX_DIAGNOSTICS))
  server.notify(client, "fimble/diagnostics", {
    uri = vim.uri_from_bufnr(buf),
    diagnostics = told,
  })
end

return M
