/* From the host to the device, and the result back: a batch on its way. What works ahead of the host reads pinned
 * memory, on a way of its own beside the work, and the host fills one slot while the device works on the other. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan_internal.h"

static int slots_of(const struct sl_device *device)
{
    return device->send ? SL_PLAN_SLOTS : 1;
}

static size_t image_bytes(const struct sl_plan *plan)
{
    const struct sl_tensor *image = &plan->values[0].shape;
    return (size_t)image->h * (size_t)image->w * (size_t)image->c;
}

/* Of a slot, in either memory: only images of three channels come as bytes. */
static size_t pixels_bytes(const struct sl_plan *plan)
{
    const bool none = plan->device->host_memory || plan->values[0].shape.c != 3;
    return none ? 0 : (size_t)plan->options.batch * image_bytes(plan);
}

static size_t slot_bytes(const struct sl_plan *plan)
{
    return sl_plan_packet(plan->options.batch).bytes + (pixels_bytes(plan) + 63) / 64 * 64;
}

/* ---- memory ---- */

uint64_t sl_plan_feed_bytes(const struct sl_plan *plan)
{
    return (uint64_t)slots_of(plan->device) * pixels_bytes(plan);
}

uint64_t sl_plan_host_bytes(const struct sl_plan *plan)
{
    return plan->device->host_memory ? 0 : (uint64_t)slots_of(plan->device) * slot_bytes(plan);
}

/* Of the device. What lay there before may still be at work, and sends do not come in turn with that. */
static int take_bytes(const struct sl_plan *plan, uint64_t bytes, uint8_t **at)
{
    const struct sl_device *device = plan->device;
    void *memory = NULL;
    const int rc = device->alloc(device->self, bytes, &memory);
    *at = memory;
    return rc == SL_OK ? device->sync(device->self) : rc;
}

static int open_host(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    struct sl_plan_feed *feed = &plan->feed;
    const size_t bytes = sl_plan_host_bytes(plan);
    void *memory = NULL;
    int rc = SL_OK;
    if (device->send)
        SL_TRY(device->alloc_pinned(device->self, bytes, &memory));
    else if (!(memory = malloc(bytes)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu bytes between host and device", bytes);
    memset(memory, 0, bytes);
    feed->host = memory;
out:
    return rc;
}

int sl_plan_open_feed(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    struct sl_plan_feed *feed = &plan->feed;
    int rc = SL_OK;
    feed->slots = slots_of(device);
    feed->slot_bytes = slot_bytes(plan);
    if (device->host_memory)
        goto out;
    SL_TRY(open_host(plan));
    if (pixels_bytes(plan) > 0)
        SL_TRY(take_bytes(plan, sl_plan_feed_bytes(plan), &feed->pixels));
out:
    return rc;
}

void sl_plan_close_feed(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    struct sl_plan_feed *feed = &plan->feed;
    if (device->send && feed->host) {
        (void)device->sync(device->self); /* it may be reading; what failed is nobody's any more */
        device->free_pinned(device->self, feed->host);
    } else
        free(feed->host);
    device->free(device->self, feed->pixels);
    device->free(device->self, feed->held);
    free(feed->there);
    *feed = (struct sl_plan_feed){0};
}

int sl_plan_hold_images(struct sl_plan *plan, const uint8_t *bytes, uint64_t count)
{
    struct sl_plan_feed *feed = &plan->feed;
    int rc = SL_OK;
    assert(!plan->device->host_memory && !feed->store && count > 0);
    bool *there = calloc(count, sizeof *there);
    if (!there)
        SL_FAIL(SL_SYSTEM, "out of memory for what is known of %llu images", (unsigned long long)count);
    SL_TRY(take_bytes(plan, count * image_bytes(plan), &feed->held));
    feed->there = there;
    feed->held_count = count;
    feed->store = bytes;
    there = NULL;
out:
    free(there);
    return rc;
}

/* ---- on the way there ---- */

static char *host_slot(const struct sl_plan *plan)
{
    const struct sl_plan_feed *feed = &plan->feed;
    return plan->device->host_memory ? plan->buffers.packet : feed->host + (size_t)feed->slot * feed->slot_bytes;
}

/* Waits until the device has left it. */
static int take_slot(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    struct sl_plan_feed *feed = &plan->feed;
    feed->slot = (feed->slot + 1) % feed->slots;
    return device->reach ? device->reach(device->self, feed->slot) : SL_OK;
}

static int put(const struct sl_plan *plan, void *to, const void *from, size_t bytes)
{
    const struct sl_device *device = plan->device;
    return (device->send ? device->send : device->copy)(device->self, to, from, bytes);
}

/* What is forked from here on finds what was put. */
static int end_putting(const struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    return device->sent ? device->sent(device->self) : SL_OK;
}

/* The images of the batch that are not with the device yet. */
static int put_new(struct sl_plan *plan, const struct sl_image_place *places, int32_t count, uint8_t *room)
{
    struct sl_plan_feed *feed = &plan->feed;
    const size_t size = image_bytes(plan);
    bool any = false;
    int rc = SL_OK;
    for (int32_t i = 0; i < count; i++) {
        const size_t image = (size_t)places[i].index;
        assert(image < feed->held_count);
        if (feed->there[image])
            continue;
        memcpy(room + (size_t)i * size, feed->store + image * size, size);
        SL_TRY(put(plan, feed->held + image * size, room + (size_t)i * size, size));
        feed->there[image] = any = true;
    }
    if (any)
        SL_TRY(end_putting(plan));
out:
    return rc;
}

/* All images of the batch, one behind the other, where nothing else is. */
static int put_all(struct sl_plan *plan, const uint8_t *bytes, struct sl_image_place *places, int32_t count,
                   uint8_t *room, uint8_t *to)
{
    const size_t size = image_bytes(plan);
    int rc = SL_OK;
    for (int32_t i = 0; i < count; i++) {
        memcpy(room + (size_t)i * size, bytes + (size_t)places[i].index * size, size);
        places[i].index = i;
    }
    SL_TRY(put(plan, to, room, (size_t)count * size));
    SL_TRY(end_putting(plan));
out:
    return rc;
}

/* Where the device finds them: in the host's memory, where they stay, or in this slot. */
static int load_pixels(struct sl_plan *plan, const struct sl_plan_pixels *pixels, int32_t count, const uint8_t **at)
{
    struct sl_plan_feed *feed = &plan->feed;
    const struct sl_plan_packet packet = sl_plan_packet(plan->options.batch);
    char *slot = host_slot(plan);
    struct sl_image_place *places = (struct sl_image_place *)(slot + packet.places);
    uint8_t *room = (uint8_t *)slot + packet.bytes, *to = NULL;
    memcpy(places, pixels->places, (size_t)count * sizeof *places);
    if (plan->device->host_memory) {
        *at = pixels->bytes;
        return SL_OK;
    }
    if (pixels->bytes == feed->store) {
        *at = feed->held;
        return put_new(plan, places, count, room);
    }
    *at = to = feed->pixels + (size_t)feed->slot * pixels_bytes(plan);
    return put_all(plan, pixels->bytes, places, count, room, to);
}

static int load_bytes(struct sl_plan *plan, const struct sl_plan_pixels *pixels, int32_t count)
{
    struct sl_plan_conversion *c = &plan->conversion;
    int rc = SL_OK;
    if (plan->values[0].shape.c != 3)
        SL_FAIL(SL_INTERNAL, "a network of %d channels does not take images of bytes", plan->values[0].shape.c);
    SL_TRY(load_pixels(plan, pixels, count, &c->bytes.x));
    c->kind = SL_CONVERT_BYTES;
    c->bytes.places = plan->buffers.places;
    c->bytes.y = plan->buffers.images;
    memcpy(c->bytes.scale, pixels->scale, sizeof c->bytes.scale);
    memcpy(c->bytes.shift, pixels->shift, sizeof c->bytes.shift);
out:
    return rc;
}

/* Floats, which are rounded to the input's element. */
static int load_floats(struct sl_plan *plan, const float *images, size_t bytes)
{
    const struct sl_device *device = plan->device;
    struct sl_plan_conversion *c = &plan->conversion;
    c->kind = SL_CONVERT_FLOATS;
    c->floats.x = plan->buffers.floats ? plan->buffers.floats : images;
    c->floats.y = plan->buffers.images;
    return plan->buffers.floats ? device->copy(device->self, plan->buffers.floats, images, bytes) : SL_OK;
}

/* A device that reads the host's memory needs no copy of floats: it only reads, and the cast lets the input be a value
 * like the others. */
static int load_images(struct sl_plan *plan, const struct sl_plan_input *input)
{
    const struct sl_device *device = plan->device;
    struct sl_value *value = &plan->values[0];
    struct sl_tensor shape = value->shape;
    shape.n = input->count;
    value->data = plan->buffers.images;
    plan->conversion.count = input->count;
    if (!input->images)
        return load_bytes(plan, input->pixels, input->count);
    if (shape.element == SL_ELEMENT_BF16)
        return load_floats(plan, input->images, sl_tensor_elements(&shape) * sizeof *input->images);
    if (!device->host_memory)
        return device->copy(device->self, plan->buffers.images, input->images, sl_tensor_bytes(&shape));
    value->data = (void *)(uintptr_t)input->images;
    return SL_OK;
}

static void write_packet(struct sl_plan *plan, const struct sl_plan_input *input)
{
    char *slot = host_slot(plan);
    const struct sl_now now = {.iteration = input->iteration, .seed = input->seed, .rate = input->rate};
    memcpy(slot, &now, sizeof now);
    if (input->labels)
        memcpy(slot + sl_plan_packet(plan->options.batch).labels, input->labels,
               (size_t)input->count * sizeof *input->labels);
}

static int check_input(const struct sl_plan *plan, const struct sl_plan_input *input)
{
    const int32_t classes = sl_graph_classes(plan->graph);
    if (input->count < 1 || input->count > plan->options.batch)
        return sl_fail(SL_INTERNAL, "a batch of %d for a plan of %d", input->count, plan->options.batch);
    if (plan->options.training && !input->labels)
        return sl_fail(SL_INTERNAL, "a training batch without labels");
    for (int32_t i = 0; input->labels && i < input->count; i++)
        if (input->labels[i] < 0 || input->labels[i] >= classes)
            return sl_fail(SL_BAD_DATA, "label %d of a network with %d classes", input->labels[i], classes);
    return SL_OK;
}

int sl_plan_load_packet(struct sl_plan *plan, const struct sl_plan_input *input)
{
    const struct sl_device *device = plan->device;
    int rc = SL_OK;
    SL_TRY(take_slot(plan));
    memset(&plan->conversion, 0, sizeof plan->conversion);
    write_packet(plan, input);
    if (input->count > 0)
        SL_TRY(load_images(plan, input));
    if (!device->host_memory)
        SL_TRY(device->copy(device->self, plan->buffers.packet, host_slot(plan),
                            sl_plan_packet(plan->options.batch).bytes));
    plan->pass = (struct sl_pass){
        .device = device,
        .count = input->count,
        .labels = input->labels ? plan->buffers.labels : NULL,
        .losses = plan->buffers.losses,
        .now = plan->buffers.now,
        .training = plan->options.training,
    };
out:
    return rc;
}

int sl_plan_load(struct sl_plan *plan, const struct sl_plan_input *input)
{
    assert(!plan->options.dry);
    int rc = check_input(plan, input);
    if (rc != SL_OK)
        return rc;
    sl_range_push(plan->device, "load");
    rc = sl_plan_load_packet(plan, input);
    sl_range_pop(plan->device);
    return rc;
}

/* ---- on the way back ---- */

int sl_plan_leave(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    return device->mark ? device->mark(device->self, plan->feed.slot) : SL_OK;
}

/* They come back to where they came from. */
int sl_plan_fetch(struct sl_plan *plan, int *slot)
{
    const struct sl_device *device = plan->device;
    int rc = SL_OK;
    *slot = plan->feed.slot;
    if (device->mark)
        SL_TRY(device->copy(device->self, host_slot(plan), plan->buffers.now, sizeof(struct sl_now)));
    SL_TRY(sl_plan_leave(plan));
out:
    return rc;
}

int sl_plan_fetched(struct sl_plan *plan, int slot, struct sl_now *now)
{
    const struct sl_device *device = plan->device;
    if (!device->reach)
        return sl_plan_read_now(plan, now);
    const int rc = device->reach(device->self, slot);
    if (rc == SL_OK)
        memcpy(now, plan->feed.host + (size_t)slot * plan->feed.slot_bytes, sizeof *now);
    return rc;
}
