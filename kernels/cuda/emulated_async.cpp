/* What a thread of an emulated block starts and waits for later: copies into shared memory, and products of its
 * warpgroup (emulated.cuh). Both happen at the wait, no sooner. */
#include "kernels/cuda/emulated.cuh"

namespace emulated
{
/* ---- asynchronous copies ---- */

void start_copy(void *to, const void *from, unsigned bytes, unsigned valid)
{
    thread *me = running.now;
    if (me->copies == MOST_COPIES)
        give_up("more than %u asynchronous copies of one thread", MOST_COPIES);
    if (uintptr_t(to) % bytes || (valid && uintptr_t(from) % bytes))
        give_up("an asynchronous copy of %u bytes is not aligned to them", bytes);
    memset(to, 0xff, bytes); /* whoever reads before it was waited for sees NaN */
    me->copying[me->copies++] = {to, from, bytes, valid, me->copy_group};
}

void commit_copies()
{
    running.now->copy_group++;
}

void wait_copies(unsigned later)
{
    thread *me = running.now;
    unsigned left = 0;
    for (unsigned i = 0; i < me->copies; i++) {
        const copy c = me->copying[i];
        if (c.group + later >= me->copy_group) {
            me->copying[left++] = c;
            continue;
        }
        memset(c.to, 0, c.bytes);
        if (c.valid)
            memcpy(c.to, c.from, c.valid);
    }
    me->copies = left;
}

/* ---- products of a warpgroup ---- */

void start_product(product p)
{
    thread *me = running.now;
    const unsigned count = running.size.x * running.size.y * running.size.z;
    if (me->products == MOST_PRODUCTS)
        give_up("more than %u products of one thread on their way", MOST_PRODUCTS);
    if (count % 128)
        give_up("a warpgroup's product in a block of %u threads", count);
    running.multiplied = true;
    p.group = me->product_group;
    me->multiplying[me->products++] = p;
}

void commit_products()
{
    running.now->product_group++;
}

/* Term `term` of row (or column) `row` of a tile, swizzled: the address's bits 4 to 6 are exchanged by bits 7 to 9. */
static float tile_element(const product &p, const void *tile, unsigned row, unsigned term)
{
    uintptr_t at = uintptr_t(tile);
    if (p.columns)
        at += row / 64 * size_t(p.apart) + term * 128 + row % 64 * p.element;
    else
        at += row * size_t(128) + term * p.element;
    at ^= (at >> 7 & 7) << 4;
    uint32_t bits = 0;
    memcpy(&bits, reinterpret_cast<const void *>(at), p.element);
    return __uint_as_float(p.element == 2 ? bits << 16 : bits & 0xffffe000u);
}

/* The part of the running thread. */
static void multiply(const product &p)
{
    constexpr unsigned MOST_TERMS = 16;
    const unsigned terms = 32 / p.element, lane = running.now->lane, first = running.now->warp % 4 * 16 + lane / 4;
    float rows[2][MOST_TERMS];
    if (!p.add)
        memset(p.d, 0, p.n / 2 * sizeof *p.d);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < terms; k++)
            rows[i][k] = tile_element(p, p.a, first + i * 8, k);
    for (unsigned j = 0; j < p.n / 8; j++)
        for (unsigned e = 0; e < 2; e++)
            for (unsigned k = 0; k < terms; k++) {
                const float b = tile_element(p, p.b, j * 8 + lane % 4 * 2 + e, k);
                p.d[j * 4 + e] += rows[0][k] * b;
                p.d[j * 4 + 2 + e] += rows[1][k] * b;
            }
}

void wait_products(unsigned later)
{
    thread *me = running.now;
    unsigned left = 0;
    for (unsigned i = 0; i < me->products; i++) {
        const product p = me->multiplying[i];
        if (p.group + later >= me->product_group)
            me->multiplying[left++] = p;
        else
            multiply(p);
    }
    me->products = left;
}
} // namespace emulated
