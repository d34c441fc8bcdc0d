-- What luacheck may take for granted.
std = "luajit"
globals = { "vim" }
max_line_length = 100
