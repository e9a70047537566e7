// What bench_conv prints: a line for each contestant of a cell (a layer and a pass), and sums over cells.
#ifndef SL_BENCH_CONV_TABLE_H
#define SL_BENCH_CONV_TABLE_H

#include "bench/turns.h"

// One way to do a pass: a row of ours or a layout of oneDNN. Or the sum of some.
struct Contestant {
    std::string name, note;
    bool direct = true;                 // the method of the formula
    double flops = 0.0, executed = 0.0; // of the formula; of the multiplications that it runs instead
    int cells = 1;
    Rounds seconds;
    Rounds roof;      // seconds for what it executes, at the peak of that round
    Rounds yardstick; // seconds of the better oneDNN; empty if there is none
};

struct Cell {
    std::vector<Contestant> ours, theirs;
    size_t yardstick = 0; // of theirs: the faster layout, by the median

    void choose_yardstick();
};

void print_conv_head(const std::string &what);
void print_conv_cell(const std::string &layer, const Cell &cell);

// By name; and the best of ours, the yardstick and the best of theirs, whichever that is in each cell.
class ConvSums
{
  public:
    void add(const Cell &cell);
    void print(const std::string &what, int batch, int threads) const;

  private:
    void add(const std::string &name, const Contestant &contestant);

    std::vector<Contestant> sums_;
};
#endif
