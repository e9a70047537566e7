/* The pictures of the sample set. Coordinates run from -1 to 1 over the picture; no function of libm that may differ
 * between machines is used (sqrt, floor and fabs are exact), rotations are rational points of the circle. */
#include "runtime/prepare/invent_draw.h"

#include <math.h>

#include "runtime/base/random.h"

enum { SUBPIXELS = 2, GREY_ONE_IN = 50, COARSE_TEXTURES = SL_INVENT_TEXTURES / 2 };

/* One stream of draws. */
struct dice {
    uint64_t seed, number, next;
    struct sl_philox bits;
};

static double roll(struct dice *dice)
{
    if (dice->next % 4 == 0)
        dice->bits = sl_draw(dice->seed, SL_RANDOM_SAMPLE_SET, dice->number, dice->next / 4);
    return sl_uniform(dice->bits.word[dice->next++ % 4]);
}

static double roll_between(struct dice *dice, double low, double high)
{
    return low + (high - low) * roll(dice);
}

struct turn {
    double cosine, sine;
};

/* A rotation by 2 atan(t), t uniform in [-most, most]. */
static struct turn roll_turn(struct dice *dice, double most)
{
    const double t = roll_between(dice, -most, most);
    return (struct turn){(1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)};
}

/* ---- shapes: is the point inside? The unit is the shape's radius. ---- */

struct point {
    double x, y;
};

/* Even-odd rule. */
static bool in_polygon(const struct point *corner, int corners, double x, double y)
{
    bool inside = false;
    for (int i = 0, j = corners - 1; i < corners; j = i++)
        if ((corner[i].y > y) != (corner[j].y > y) &&
            x < (corner[j].x - corner[i].x) * (y - corner[i].y) / (corner[j].y - corner[i].y) + corner[i].x)
            inside = !inside;
    return inside;
}

static bool in_disc(double x, double y)
{
    return x * x + y * y < 0.85 * 0.85;
}

static bool in_cross(double x, double y)
{
    x = fabs(x);
    y = fabs(y);
    return (x < 0.34 && y < 0.98) || (x < 0.98 && y < 0.34);
}

static bool in_triangle(double x, double y)
{
    static const struct point corner[] = {{0, -1}, {1, 0.8}, {-1, 0.8}};
    return in_polygon(corner, 3, x, y);
}

static bool in_ring(double x, double y)
{
    const double square = x * x + y * y;
    return square < 0.98 * 0.98 && square > 0.5 * 0.5;
}

static bool in_square(double x, double y)
{
    return fabs(x) < 0.8 && fabs(y) < 0.8;
}

static bool in_star(double x, double y)
{
    static const struct point corner[] = {{0, -1.1},        {0.259, -0.356}, {1.046, -0.340}, {0.418, 0.136},
                                          {0.647, 0.890},   {0, 0.44},       {-0.647, 0.890}, {-0.418, 0.136},
                                          {-1.046, -0.340}, {-0.259, -0.356}};
    return in_polygon(corner, 10, x, y);
}

static bool in_bar(double x, double y)
{
    return fabs(x) < 1.05 && fabs(y) < 0.38;
}

static bool in_crescent(double x, double y)
{
    return x * x + y * y < 1 && (x - 0.5) * (x - 0.5) + y * y > 0.62 * 0.62;
}

static bool in_arrow(double x, double y)
{
    static const struct point corner[] = {{0, -1}, {1, 0.1}, {0.4, 0.1}, {0.4, 1}, {-0.4, 1}, {-0.4, 0.1}, {-1, 0.1}};
    return in_polygon(corner, 7, x, y);
}

static bool in_pair(double x, double y)
{
    const double dx = fabs(x) - 0.55;
    return dx * dx + y * y < 0.46 * 0.46;
}

static const struct {
    const char *name;
    bool (*inside)(double x, double y);
} shapes[SL_INVENT_SHAPES] = {
    {"disc", in_disc}, {"cross", in_cross}, {"triangle", in_triangle}, {"ring", in_ring},   {"square", in_square},
    {"star", in_star}, {"bar", in_bar},     {"crescent", in_crescent}, {"arrow", in_arrow}, {"pair of discs", in_pair},
};

/* ---- textures: first colour or second? The unit is the period. ---- */

static double fraction(double x)
{
    return x - floor(x);
}

static bool stripes(const struct dice *dice, double x, double y)
{
    (void)dice;
    (void)x;
    return fraction(y) < 0.5;
}

static bool checks(const struct dice *dice, double x, double y)
{
    (void)dice;
    return (fraction(x) < 0.5) != (fraction(y) < 0.5);
}

static bool dots(const struct dice *dice, double x, double y)
{
    (void)dice;
    const double dx = fraction(x) - 0.5, dy = fraction(y) - 0.5;
    return dx * dx + dy * dy < 0.33 * 0.33;
}

static bool columns(const struct dice *dice, double x, double y)
{
    return stripes(dice, y, x);
}

static bool circles(const struct dice *dice, double x, double y)
{
    (void)dice;
    return fraction(sqrt(x * x + y * y)) < 0.5;
}

static bool mosaic(const struct dice *dice, double x, double y)
{
    const uint64_t cell = (uint64_t)(int64_t)floor(2 * x) << 32 ^ (uint32_t)(int32_t)floor(2 * y);
    return sl_draw(dice->seed, SL_RANDOM_SAMPLE_SET, dice->number, cell ^ UINT64_C(1) << 63).word[0] & 1;
}

static bool diagonals(const struct dice *dice, double x, double y)
{
    (void)dice;
    return fraction((x + y) * 0.7071) < 0.5;
}

static bool bricks(const struct dice *dice, double x, double y)
{
    (void)dice;
    const double shift = fraction(y / 2) < 0.5 ? 0 : 0.5;
    return fraction(y) < 0.25 || fraction(x / 2 + shift) < 0.15;
}

static bool grid(const struct dice *dice, double x, double y)
{
    (void)dice;
    return fraction(x) < 0.3 || fraction(y) < 0.3;
}

static bool zigzag(const struct dice *dice, double x, double y)
{
    (void)dice;
    return fraction(y + 2 * fabs(fraction(x / 2) - 0.5)) < 0.5;
}

/* The second half of the textures are these again with half the period. */
static const struct {
    const char *name, *fine_name;
    bool (*first)(const struct dice *dice, double x, double y);
} textures[COARSE_TEXTURES] = {
    {"wide stripes", "narrow stripes", stripes},
    {"large checks", "small checks", checks},
    {"large dots", "small dots", dots},
    {"wide columns", "narrow columns", columns},
    {"wide circles", "narrow circles", circles},
    {"coarse mosaic", "fine mosaic", mosaic},
    {"wide diagonals", "narrow diagonals", diagonals},
    {"large bricks", "small bricks", bricks},
    {"wide grid", "narrow grid", grid},
    {"wide zigzag", "narrow zigzag", zigzag},
};

void sl_invent_class(int32_t index, int32_t classes, int32_t *shape, int32_t *texture)
{
    /* About as many shapes as textures, so that a class cannot be told by one of them. */
    int32_t used = 1;
    while (used < SL_INVENT_SHAPES && used * used < classes)
        used++;
    *shape = index % used;
    *texture = index / used;
}

const char *sl_invent_shape_name(int32_t shape)
{
    return shapes[shape].name;
}

const char *sl_invent_texture_name(int32_t texture)
{
    return texture < COARSE_TEXTURES ? textures[texture].name : textures[texture - COARSE_TEXTURES].fine_name;
}

/* ---- the picture ---- */

struct scene {
    struct dice dice;
    int32_t shape, texture;
    double x, y, radius, period, phase_x, phase_y;
    double slope_x[3], slope_y[3]; /* of the background */
    struct turn turn, grain;
    double colour[3][3]; /* background, first and second of the texture */
};

static double luma(const double colour[3])
{
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
}

/* Three colours that differ in brightness, so that the picture survives being turned grey. */
static void roll_colours(struct dice *dice, double colour[3][3])
{
    double far_1, far_2, far_12;
    do {
        for (int i = 0; i < 9; i++)
            colour[i / 3][i % 3] = roll(dice);
        far_1 = fabs(luma(colour[0]) - luma(colour[1]));
        far_2 = fabs(luma(colour[0]) - luma(colour[2]));
        far_12 = fabs(luma(colour[1]) - luma(colour[2]));
    } while (far_1 < 0.2 || far_2 < 0.2 || far_12 < 0.35);
}

static void roll_scene(struct scene *s)
{
    struct dice *dice = &s->dice;
    s->x = roll_between(dice, -0.22, 0.22);
    s->y = roll_between(dice, -0.22, 0.22);
    s->radius = roll_between(dice, 0.55, 0.78);
    s->turn = roll_turn(dice, 0.2);
    s->grain = roll_turn(dice, 0.06);
    s->period = roll_between(dice, 0.29, 0.36) * (s->texture < COARSE_TEXTURES ? 1 : 0.5);
    s->phase_x = roll(dice);
    s->phase_y = roll(dice);
    for (int c = 0; c < 3; c++) {
        s->slope_x[c] = roll_between(dice, -0.1, 0.1);
        s->slope_y[c] = roll_between(dice, -0.1, 0.1);
    }
    roll_colours(dice, s->colour);
}

static bool in_shape(const struct scene *s, double x, double y)
{
    const double dx = (x - s->x) / s->radius, dy = (y - s->y) / s->radius;
    return shapes[s->shape].inside(s->turn.cosine * dx + s->turn.sine * dy, s->turn.cosine * dy - s->turn.sine * dx);
}

static void paint(const struct scene *s, double x, double y, double colour[3])
{
    if (!in_shape(s, x, y)) {
        for (int c = 0; c < 3; c++)
            colour[c] += s->colour[0][c] + s->slope_x[c] * x + s->slope_y[c] * y;
        return;
    }
    const double dx = (x - s->x) / s->period, dy = (y - s->y) / s->period;
    const double u = s->grain.cosine * dx + s->grain.sine * dy, v = s->grain.cosine * dy - s->grain.sine * dx;
    const bool centred = textures[s->texture % COARSE_TEXTURES].first == circles;
    const bool first = textures[s->texture % COARSE_TEXTURES].first(&s->dice, u + (centred ? 0 : s->phase_x),
                                                                    v + (centred ? 0 : s->phase_y));
    for (int c = 0; c < 3; c++)
        colour[c] += s->colour[first ? 1 : 2][c];
}

static uint8_t to_byte(double value)
{
    return (uint8_t)(value <= 0 ? 0 : value >= 1 ? 255 : value * 255 + 0.5);
}

static void paint_pixel(struct scene *s, int32_t size, int32_t i, int32_t j, uint8_t rgb[3])
{
    double colour[3] = {0, 0, 0};
    for (int k = 0; k < SUBPIXELS * SUBPIXELS; k++) {
        const double y = i + (k / SUBPIXELS + 0.5) / SUBPIXELS, x = j + (k % SUBPIXELS + 0.5) / SUBPIXELS;
        paint(s, 2 * x / size - 1, 2 * y / size - 1, colour);
    }
    for (int c = 0; c < 3; c++)
        rgb[c] = to_byte(colour[c] / (SUBPIXELS * SUBPIXELS) + roll_between(&s->dice, -0.06, 0.06));
}

static void turn_grey(uint8_t *rgb, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double colour[3] = {rgb[i * 3] / 255.0, rgb[i * 3 + 1] / 255.0, rgb[i * 3 + 2] / 255.0};
        rgb[i * 3] = rgb[i * 3 + 1] = rgb[i * 3 + 2] = to_byte(luma(colour));
    }
}

static int32_t clamp(int32_t value, int32_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

void sl_invent_draw(uint64_t seed, uint64_t number, int32_t shape, int32_t texture, int32_t size, uint8_t *rgb,
                    int32_t box[4])
{
    struct scene scene = {.dice = {.seed = seed, .number = number}, .shape = shape, .texture = texture};
    int32_t least_x = size, least_y = size, most_x = -1, most_y = -1;
    const bool grey = roll(&scene.dice) * GREY_ONE_IN < 1;
    roll_scene(&scene);
    for (int32_t i = 0; i < size; i++)
        for (int32_t j = 0; j < size; j++) {
            paint_pixel(&scene, size, i, j, rgb + ((size_t)i * (size_t)size + (size_t)j) * 3);
            if (in_shape(&scene, (2.0 * j + 1) / size - 1, (2.0 * i + 1) / size - 1)) {
                least_x = j < least_x ? j : least_x;
                most_x = j > most_x ? j : most_x;
                least_y = i < least_y ? i : least_y;
                most_y = i;
            }
        }
    if (grey)
        turn_grey(rgb, (size_t)size * (size_t)size);
    box[0] = clamp(least_x, size - 1);
    box[1] = clamp(least_y, size - 1);
    box[2] = clamp(most_x, size - 1);
    box[3] = clamp(most_y, size - 1);
}
