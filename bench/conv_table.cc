#include "bench/conv_table.h"

#include <cstdio>

namespace
{
constexpr char kYardstick[] = "onednn best layout";

// Null: there is none.
const Contestant *fastest(const std::vector<Contestant> &of, bool only_direct)
{
    const Contestant *best = nullptr;
    for (const Contestant &c : of)
        if ((c.direct || !only_direct) && (!best || c.seconds.median() < best->seconds.median()))
            best = &c;
    return best;
}

void print_line(const std::string &what, const Contestant &c, bool star)
{
    const double s = c.seconds.median();
    std::printf("%-5s %-20s%s %8.2f %8.2f %8.1f %8.1f %6.1f", what.c_str(), c.name.c_str(), star ? "*" : " ", s * 1e3,
                c.seconds.quantile(0.0) * 1e3, c.flops / s * 1e-9, c.executed / s * 1e-9,
                (c.roof / c.seconds).median() * 100.0);
    if (!c.yardstick.empty()) {
        const Rounds x = c.yardstick / c.seconds;
        std::printf(" %7.3f %6.3f to %.3f", x.median(), x.quantile(0.25), x.quantile(0.75));
    }
    std::printf("  %s\n", c.note.c_str());
    std::fflush(stdout);
}
} // namespace

void Cell::choose_yardstick()
{
    const Contestant *best = fastest(theirs, true);
    if (!best)
        return;
    yardstick = static_cast<size_t>(best - theirs.data());
    for (std::vector<Contestant> *side : {&ours, &theirs})
        for (Contestant &c : *side)
            c.yardstick = best->seconds;
}

void print_conv_head(const std::string &what)
{
    std::printf("\n%-27s %8s %8s %8s %8s %6s %7s %15s\n", what.c_str(), "ms", "least", "GFLOP/s", "executed", "%peak",
                "x", "quartiles");
}

void print_conv_cell(const std::string &layer, const Cell &cell)
{
    for (const Contestant &c : cell.ours)
        print_line(layer, c, false);
    for (size_t i = 0; i < cell.theirs.size(); i++)
        print_line(layer, cell.theirs[i], i == cell.yardstick);
}

void ConvSums::add(const Cell &cell)
{
    for (const std::vector<Contestant> *side : {&cell.ours, &cell.theirs})
        for (const Contestant &c : *side)
            add(c.name, c);
    if (!cell.ours.empty())
        add("best of ours", *fastest(cell.ours, false));
    if (!cell.theirs.empty()) {
        add(kYardstick, cell.theirs[cell.yardstick]);
        add("onednn best", *fastest(cell.theirs, false));
    }
}

void ConvSums::add(const std::string &name, const Contestant &contestant)
{
    const auto same = [&name](const Contestant &sum) { return sum.name == name; };
    const auto at = std::find_if(sums_.begin(), sums_.end(), same);
    if (at == sums_.end()) {
        sums_.push_back(contestant);
        sums_.back().name = name;
        return;
    }
    at->flops += contestant.flops;
    at->executed += contestant.executed;
    at->cells += contestant.cells;
    at->seconds += contestant.seconds;
    at->roof += contestant.roof;
    at->yardstick += contestant.yardstick;
}

void ConvSums::print(const std::string &what, int batch, int threads) const
{
    for (const Contestant &sum : sums_) {
        char note[64];
        std::snprintf(note, sizeof note, "%d cells, %.1f images/s per core", sum.cells,
                      batch / sum.seconds.median() / threads);
        Contestant line = sum;
        line.note = note;
        print_line(what, line, sum.name == kYardstick);
    }
}
