--- `:Fimble`: its words, their completion, and what each does.
local explanation = require("fimble.explanation")
local page = require("fimble.page")
local pausing = require("fimble.pausing")
local server = require("fimble.server")
local settings = require("fimble.settings")
local switch = require("fimble.switch")
local typing = require("fimble.typing")

local M = {}

---@param words string
---@param level? integer
local function say(words, level)
  vim.notify("Fimble: " .. words, level or vim.log.levels.INFO)
end

--- Ask the buffer's server something and show the answer as a page.
---@param method string
---@param describe fun(answer: any): string[]
local function show_answer(method, describe)
  local buf = vim.api.nvim_get_current_buf()
  local client = server.find(buf)
  if not client then
    say("no server in this buffer; see :checkhealth fimble.", vim.log.levels.WARN)
    return
  end
  local params = { textDocument = { uri = vim.uri_from_bufnr(buf) } }
  server.request(client, method, params, function(error, answer)
    if error then
      say("the server has no answer: " .. error.message, vim.log.levels.WARN)
    else
      page.show(describe(answer), method)
    end
  end, buf)
end

---@param name? string
local function choose_model(name)
  if not name then
    show_answer("fimble/status", explanation.describe_status)
    return
  end
  settings.current.server = vim.tbl_deep_extend("force", settings.current.server, {
    model = { name = vim.fn.expand(name) },
  })
  server.send_settings()
  say("the model is to be " .. name .. ".")
end

---@param what? string
local function toggle(what)
  local buf = vim.api.nvim_get_current_buf()
  local is_on, where
  if what == "filetype" then
    where = "in " .. vim.bo[buf].filetype .. " files"
    is_on = switch.toggle_filetype(vim.bo[buf].filetype)
  else
    where = "in this buffer"
    is_on = switch.toggle_buffer(buf)
  end
  if not is_on then
    typing.stop()
  end
  say((is_on and "on " or "off ") .. where .. ".")
  vim.cmd.redrawstatus()
end

---@class fimble.Word
---@field run fun(argument?: string)
---@field arguments? string[]

---@type table<string, fimble.Word>
local WORDS = {
  status = {
    run = function()
      show_answer("fimble/status", explanation.describe_status)
    end,
  },
  explain = {
    run = function()
      show_answer("fimble/explain", explanation.describe_answer)
    end,
  },
  pause = {
    run = function()
      pausing.pause()
      say("paused; :Fimble resume goes on.")
    end,
  },
  resume = {
    run = function()
      pausing.resume()
      say("goes on.")
    end,
  },
  toggle = { run = toggle, arguments = { "buffer", "filetype" } },
  model = { run = choose_model, arguments = { "fimble-nano" } },
  restart = { run = server.restart },
}

---@return string[]
local function word_names()
  local names = vim.tbl_keys(WORDS)
  table.sort(names)
  return names
end

---@param arguments { fargs: string[] }
local function run(arguments)
  local word = WORDS[arguments.fargs[1] or "status"]
  if word then
    word.run(arguments.fargs[2])
  else
    local names = table.concat(word_names(), ", ")
    say(("expected one of %s; found %s."):format(names, arguments.fargs[1]), vim.log.levels.ERROR)
  end
end

--- Define `:Fimble`.
function M.define()
  vim.api.nvim_create_user_command("Fimble", run, {
    nargs = "*",
    desc = "Fimble: status, explain, pause, resume, toggle, model, restart",
    complete = function(lead, line)
      local first = line:match("^%s*%S+%s+(%S+)%s")
      local offered = first and (WORDS[first] or {}).arguments or not first and word_names() or {}
      return vim.tbl_filter(function(name)
        return vim.startswith(name, lead)
      end, offered or {})
    end,
  })
end

return M
