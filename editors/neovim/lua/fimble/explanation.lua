--- Words for the answers to `fimble/status` and `fimble/explain`, as lines of Markdown. Pure.
local M = {}

---@param model table|nil|userdata
---@return string
local function model_words(model)
  if not model or model == vim.NIL then
    return "not loaded yet"
  end
  return ("%s on %s (%s)"):format(model.name, model.device, model.dtype)
end

---@param status table
---@return string[]
function M.describe_status(status)
  return {
    "# Fimble " .. status.version,
    "",
    ("- state: %s%s"):format(status.kind, status.busy and ", busy" or ""),
    "- " .. status.message,
    "- model: " .. model_words(status.model),
    ("- process %d, Python %s"):format(status.process_id, status.python),
    ("- positions in %s, %d open files"):format(status.position_encoding, status.n_buffers),
  }
end

---@param text string
---@return string one line
local function on_one_line(text)
  return "`" .. text:gsub("\n", "⏎"):gsub("`", "'") .. "`"
end

--- Why the last question ended as it did.
---@param why table|nil|userdata the answer to `fimble/explain`
---@return string[]
function M.describe_answer(why)
  if not why or why == vim.NIL then
    return { "# Fimble", "", "Nothing was asked in this file yet." }
  end
  local tokens, timing = why.tokens, why.timing_ms
  local lines = {
    ("# Fimble: %s, by the rule `%s`"):format(why.mode, why.rule),
    "",
    ("- answered from %s, %d shown"):format(why.source, why.n_shown or #why.suggestions),
    "- model: " .. model_words(why.model),
    ("- tokens: %d in the prompt, %d of them reused, %d generated"):format(
      tokens.prompt,
      tokens.reused,
      tokens.generated
    ),
    ("- milliseconds: %.0f in all, %.0f queue, %.0f prefill, %.0f decode"):format(
      timing.total,
      timing.queue,
      timing.prefill,
      timing.decode
    ),
  }
  for _, suggestion in ipairs(why.suggestions) do
    local words = "- suggested, confidence %.2f: %s"
    lines[#lines + 1] = words:format(suggestion.confidence, on_one_line(suggestion.text))
  end
  for _, hidden in ipairs(why.hidden) do
    lines[#lines + 1] = ("- hidden, %s: %s"):format(hidden.reason, on_one_line(hidden.text))
  end
  return lines
end

return M
