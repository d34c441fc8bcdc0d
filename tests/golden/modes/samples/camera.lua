-- A camera that follows a list of points.
local Camera = {}
Camera.__index = Camera

local function clamp(value, low, high)
  if value < low then
    return low
  elseif value > high then
    return high
  else
    return value
  end
end

function Camera.new(x, y)
  local self = setmetatable({ x = x, y = y, points = {} }, Camera)
  return self
end

function Camera:follow(point, speed)
  if not point then return self end
  local dx = point.x - self.x
  local dy = point.y - self.y
  while math.abs(dx) > 100 do
    dx = dx / 2
    if dx == 0 then
      break
    end
  end
  self.x = clamp(self.x + dx * speed, 0, 800)
  self.y = clamp(self.y + dy * speed, 0, 600)
  return self
end

function Camera:each(callback)
  for index, point in ipairs(self.points) do
    local ok = callback(point, index)
    if ok == false then
      print("stopped at " .. index)
      return
    end
  end
end

function Camera:trim(limit)
  repeat
    local last = table.remove(self.points)
    if last == nil then
      limit = 0
    end
  until #self.points <= limit
end

function Camera:sort()
  table.sort(self.points, function(a, b)
    if a.x == b.x then
      return a.y < b.y
    else
      return a.x < b.x
    end
  end)
  self:each(function(point)
    for key, value in pairs(point) do
      if type(value) == "number" then
        point[key] = math.floor(value)
      end
    end
  end)
end

return Camera
