// Times of what runs in turns, round after round: the speed of a shared machine changes meanwhile, so ratios are taken
// within a round, and medians and quartiles over the rounds.
#ifndef SL_BENCH_TURNS_H
#define SL_BENCH_TURNS_H

#include <time.h>

#include <algorithm>
#include <string>
#include <vector>

// One number for each round.
class Rounds
{
  public:
    void add(double value)
    {
        values_.push_back(value);
    }

    bool empty() const
    {
        return values_.empty();
    }

    // 0: the least, 0.5: the median, 1: the greatest.
    double quantile(double q) const
    {
        std::vector<double> sorted = values_;
        std::sort(sorted.begin(), sorted.end());
        return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)];
    }

    double median() const
    {
        return quantile(0.5);
    }

    // Round by round, of as many.
    Rounds &operator+=(const Rounds &other)
    {
        for (size_t i = 0; i < values_.size(); i++)
            values_[i] += other.values_[i];
        return *this;
    }

    Rounds operator/(const Rounds &other) const
    {
        Rounds ratio;
        for (size_t i = 0; i < values_.size(); i++)
            ratio.add(values_[i] / other.values_[i]);
        return ratio;
    }

  private:
    std::vector<double> values_;
};

// One thread is timed by the processor's clock, which stands still while another program has the processor; for
// several, waiting for each other counts too.
inline double clock_for(int threads)
{
    timespec now;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work> double seconds_of(int threads, Work &&work)
{
    const double begin = clock_for(threads);
    work();
    return clock_for(threads) - begin;
}
#endif
