#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace pool {

template <typename T>
class Pool {
public:
    explicit Pool(int n)
        : n_(n), free_()
    {
        for (int i = 0; i < n; ++i) {
            free_.push_back(T{});
        }
    }

    T take()
    {
        if (free_.empty()) {
            throw std::runtime_error("empty }");
        } else {
            T last = free_.back();
            free_.pop_back();
            return last;
        }
    }

    bool is_empty() const { return free_.empty(); }

private:
    int n_;
    std::vector<T> free_;
};

enum class Kind { small, large };

inline std::string name(Kind kind)
{
    switch (kind) {
    case Kind::small:
        return R"(small })";
    case Kind::large: {
        std::string text = "large";
        return text;
    }
    }
    return "";
}

int run(const std::map<std::string, int>& sizes)
{
    int sum = 0;
    try {
        for (const auto& [key, size] : sizes) {
            auto add = [&sum](int more) {
                sum += more;
            };
            add(size);
        }
    } catch (const std::exception& error) {
        sum = -1;
    } catch (...) {
        sum = -2;
    }
    return sum;
}

}  // namespace pool
