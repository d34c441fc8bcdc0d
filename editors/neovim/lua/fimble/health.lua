--- `:checkhealth fimble`: the editor, the program, what `fimble check` finds, and the clients.
local server = require("fimble.server")
local status = require("fimble.status")

local M = {}

-- Loading the model is part of the examination.
local TIMEOUT_MS = 60 * 1000

--- The examining command for the serving one: `check --json` where it says `serve`.
---@param cmd string[]
---@return string[]
local function build_check_command(cmd)
  local command = {}
  for _, word in ipairs(cmd) do
    if word == "serve" then
      break
    end
    command[#command + 1] = word
  end
  return vim.list_extend(command, { "check", "--json" })
end

local function check_editor()
  vim.health.start("Neovim")
  if vim.fn.has("nvim-0.10") == 0 then
    vim.health.error("Fimble needs Neovim 0.10 or newer for ghost text.")
    return
  end
  local version = vim.version()
  vim.health.ok(("Neovim %d.%d.%d"):format(version.major, version.minor, version.patch))
end

---@param output string
local function report_findings(output)
  local is_json, report = pcall(vim.json.decode, output)
  if not is_json or type(report.findings) ~= "table" then
    vim.health.error("`fimble check --json` did not answer with findings.", {
      "Run `fimble check` in a terminal.",
    })
    return
  end
  for _, finding in ipairs(report.findings) do
    local words = finding.name .. ": " .. finding.found
    local advice = finding.to_do ~= "" and { finding.to_do } or nil
    if not finding.ok then
      vim.health.error(words, advice)
    elseif advice then
      vim.health.warn(words, advice)
    else
      vim.health.ok(words)
    end
  end
end

local function check_program()
  vim.health.start("fimble check")
  local cmd = server.command()
  if vim.fn.executable(cmd[1]) == 0 then
    vim.health.error(("expected the program `%s`; found none."):format(cmd[1]), {
      "Install Fimble, or name its program: require('fimble').setup({ cmd = { ... } })",
    })
    return
  end
  local ended = vim.system(build_check_command(cmd), { text = true }):wait(TIMEOUT_MS)
  report_findings(ended.stdout or "")
end

local function check_clients()
  vim.health.start("Clients")
  local clients = vim.lsp.get_clients({ name = server.NAME })
  if #clients == 0 then
    vim.health.info("No buffer is served now.")
  end
  for _, client in ipairs(clients) do
    local note = status.note(client.id)
    local words = ("client %d: %s"):format(client.id, note and note.message or "has said nothing")
    if note and note.kind == "Error" then
      vim.health.error(words)
    else
      vim.health.ok(words)
    end
  end
end

--- What `:checkhealth fimble` calls.
function M.check()
  check_editor()
  check_program()
  check_clients()
end

return M
