/* libjpeg's side of a decoder. Its errors leave by longjmp, and none of them leaves this file.
 *
 * The Huffman codes of baseline images, half of libjpeg's time, are decoded by jpeg_huffman.c in its place. An image
 * with which that fails is decoded once more by libjpeg alone, so verdicts are always libjpeg's.
 *
 * Every image gets an object of its own: one that is used again keeps quantisation and Huffman tables, and an image
 * without tables would then be decoded by those of the image before. */
#include "runtime/data/jpeg_read.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h> /* asks for the version that jpeglib.h defines */
#if __has_include(<jpegint.h>)
#include <jpegint.h> /* the entropy decoder's place; not every system has it */
#endif

#include "runtime/data/jpeg_huffman.h"

/* An attack on the decoder's time: more scans than this, or scans that pass over so many blocks in all. A few kilobytes
 * can ask for hundreds of passes over a huge image; the largest that is read may have a dozen. */
enum { MAX_SCANS = 500, MAX_BLOCKS_PASSED = 80 << 20 };

/* Rows that are aligned to a vector libjpeg writes past the cache, and whoever reads them next waits for memory: a
 * quarter of the time of a small image. So they come by way of a buffer that is not aligned. */
enum { ROWS_AT_ONCE = 16, ROW_BYTES = 1 << 14, CROOKED = 8 };

struct sl_jpeg_reader {
    struct jpeg_decompress_struct image;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    const char *stage; /* what an error means at this point */
    int scans;         /* that were begun, */
    uint64_t blocks;   /* and all blocks that they pass over */
    jmp_buf failed;
    int status;
    const uint8_t *bytes;
    size_t length;
    struct sl_huffman *huffman;
    _Alignas(2 * CROOKED) uint8_t rows[CROOKED + ROW_BYTES];
};

/* ---- errors ---- */

/* Warnings after which every pixel is still the encoder's. After all others (a truncated file, a bad code, a marker too
 * early) pixels are guessed. */
static const int harmless[] = {JWRN_ADOBE_XFORM, JWRN_BOGUS_ICC, JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR,
                               JWRN_NOT_SEQUENTIAL};

/* Errors that are no damage: the machine's, and images of a kind that libjpeg does not read. */
static const char machine[] = "cannot decode a JPEG", unread[] = "a JPEG of a kind that is not read";
static const struct {
    int code, status;
    const char *stage;
} others[] = {
    {JERR_OUT_OF_MEMORY, SL_SYSTEM, machine},       {JERR_NO_BACKING_STORE, SL_SYSTEM, machine},
    {JERR_TFILE_CREATE, SL_SYSTEM, machine},        {JERR_TFILE_READ, SL_SYSTEM, machine},
    {JERR_TFILE_SEEK, SL_SYSTEM, machine},          {JERR_TFILE_WRITE, SL_SYSTEM, machine},
    {JERR_BAD_LIB_VERSION, SL_INTERNAL, machine},   {JERR_BAD_STRUCT_SIZE, SL_INTERNAL, machine},
    {JERR_ARITH_NOTIMPL, SL_BAD_DATA, unread},      {JERR_BAD_PRECISION, SL_BAD_DATA, unread},
    {JERR_CONVERSION_NOTIMPL, SL_BAD_DATA, unread}, {JERR_FRACT_SAMPLE_NOTIMPL, SL_BAD_DATA, unread},
    {JERR_IMAGE_TOO_BIG, SL_BAD_DATA, unread},      {JERR_NOT_COMPILED, SL_BAD_DATA, unread},
    {JERR_SOF_UNSUPPORTED, SL_BAD_DATA, unread},
};

_Noreturn static void leave(struct sl_jpeg_reader *reader, int status)
{
    reader->status = status;
    longjmp(reader->failed, 1);
}

_Noreturn static void on_error(j_common_ptr image)
{
    struct sl_jpeg_reader *reader = image->client_data;
    char text[JMSG_LENGTH_MAX];
    image->err->format_message(image, text);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (image->err->msg_code == others[i].code)
            leave(reader, sl_fail(others[i].status, "%s: %s", others[i].stage, text));
    leave(reader, sl_fail(SL_BAD_DATA, "%s: %s", reader->stage, text));
}

/* Warnings have negative levels; the rest is chatter. */
static void on_message(j_common_ptr image, int level)
{
    if (level >= 0)
        return;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (image->err->msg_code == harmless[i])
            return;
    on_error(image);
}

static void on_progress(j_common_ptr common)
{
    struct sl_jpeg_reader *reader = common->client_data;
    const struct jpeg_decompress_struct *image = &reader->image;
    if (image->input_scan_number == reader->scans)
        return;
    reader->scans = image->input_scan_number;
    for (int i = 0; i < image->comps_in_scan; i++)
        reader->blocks +=
            (uint64_t)image->cur_comp_info[i]->width_in_blocks * image->cur_comp_info[i]->height_in_blocks;
    if (reader->scans > MAX_SCANS || reader->blocks > MAX_BLOCKS_PASSED)
        leave(reader, sl_fail(SL_BAD_DATA, "%s: %d scans over an image of %u x %u pixels, more than it can need",
                              reader->stage, reader->scans, image->image_width, image->image_height));
}

/* ---- images ---- */

struct sl_jpeg_reader *sl_jpeg_reader_open(void)
{
    struct sl_jpeg_reader *reader = calloc(1, sizeof *reader);
    if (reader)
        reader->huffman = sl_huffman_open();
    if (!reader || !reader->huffman) {
        free(reader);
        return NULL;
    }
    reader->image.err = jpeg_std_error(&reader->errors);
    reader->image.client_data = reader;
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->progress.progress_monitor = on_progress;
    return reader;
}

void sl_jpeg_reader_close(struct sl_jpeg_reader *reader)
{
    if (reader)
        sl_huffman_close(reader->huffman);
    free(reader);
}

static uint64_t coefficient_bytes(struct jpeg_decompress_struct *image)
{
    uint64_t blocks = 0;
    if (!jpeg_has_multiple_scans(image))
        return 0;
    for (int i = 0; i < image->num_components; i++)
        blocks += (uint64_t)image->comp_info[i].width_in_blocks * image->comp_info[i].height_in_blocks;
    return blocks * sizeof(JBLOCK);
}

int sl_jpeg_read_begin(struct sl_jpeg_reader *reader, const uint8_t *bytes, size_t length,
                       struct sl_jpeg_header *header)
{
    struct jpeg_decompress_struct *image = &reader->image;
    reader->stage = "damaged JPEG header";
    if (setjmp(reader->failed) != 0)
        return reader->status;
    jpeg_create_decompress(image);
    image->progress = &reader->progress;
    reader->scans = 0;
    reader->blocks = 0;
    reader->bytes = bytes;
    reader->length = length;
    jpeg_mem_src(image, bytes, length);
    if (jpeg_read_header(image, FALSE) != JPEG_HEADER_OK)
        return sl_fail(SL_BAD_DATA, "a JPEG stream that holds no image, only tables");
    *header = (struct sl_jpeg_header){
        .width = (int32_t)image->image_width,
        .height = (int32_t)image->image_height,
        .four = image->jpeg_color_space == JCS_CMYK || image->jpeg_color_space == JCS_YCCK,
        .coefficient_bytes = coefficient_bytes(image),
    };
    return SL_OK;
}

/* ---- pixels ---- */

#if __has_include(<jpegint.h>)
static boolean decode_mcu(j_decompress_ptr image, JBLOCKROW *blocks)
{
    struct sl_jpeg_reader *reader = image->client_data;
    if (!sl_huffman_next(reader->huffman, blocks))
        leave(reader, SL_BAD_DATA);
    return TRUE;
}

static bool take_tables(struct sl_huffman *huffman, const struct jpeg_decompress_struct *image)
{
    for (int i = 0; i < image->comps_in_scan; i++) {
        const int dc = image->cur_comp_info[i]->dc_tbl_no, ac = image->cur_comp_info[i]->ac_tbl_no;
        const JHUFF_TBL *dc_codes = image->dc_huff_tbl_ptrs[dc], *ac_codes = image->ac_huff_tbl_ptrs[ac];
        if (!sl_huffman_dc_table(huffman, dc, dc_codes->bits, dc_codes->huffval) ||
            !sl_huffman_ac_table(huffman, ac, ac_codes->bits, ac_codes->huffval))
            return false;
    }
    return true;
}

static struct sl_huffman_mcu mcu_of(const struct jpeg_decompress_struct *image)
{
    struct sl_huffman_mcu mcu = {.count = image->blocks_in_MCU};
    for (int i = 0; i < mcu.count; i++) {
        const int c = image->MCU_membership[i];
        mcu.blocks[i].component = c;
        mcu.blocks[i].dc = image->cur_comp_info[c]->dc_tbl_no;
        mcu.blocks[i].ac = image->cur_comp_info[c]->ac_tbl_no;
    }
    return mcu;
}

/* One scan of all components, without restarts, up to the end of the image. */
static bool is_plain(const struct jpeg_decompress_struct *image)
{
    return !image->progressive_mode && !image->arith_code && image->data_precision == 8 &&
           image->restart_interval == 0 && image->comps_in_scan == image->num_components && image->Ss == 0 &&
           image->Se == DCTSIZE2 - 1 && image->Ah == 0 && image->Al == 0;
}

/* Puts our Huffman decoder in place of libjpeg's, which has checked the tables. */
static bool take_over(struct sl_jpeg_reader *reader)
{
    struct jpeg_decompress_struct *image = &reader->image;
    struct jpeg_source_mgr *source = image->src;
    if (!is_plain(image) || !take_tables(reader->huffman, image))
        return false;
    const struct sl_huffman_mcu mcu = mcu_of(image);
    const size_t coded = sl_huffman_begin(reader->huffman, &mcu, source->next_input_byte, source->bytes_in_buffer);
    if (coded == 0 || source->next_input_byte[coded + 1] != JPEG_EOI)
        return false;
    source->next_input_byte += coded;
    source->bytes_in_buffer -= coded;
    image->entropy->decode_mcu = decode_mcu;
    return true;
}
#else
static bool take_over(struct sl_jpeg_reader *reader)
{
    (void)reader;
    return false;
}
#endif

static void read_rows(struct sl_jpeg_reader *reader, uint8_t *to)
{
    struct jpeg_decompress_struct *image = &reader->image;
    const size_t stride = (size_t)image->output_width * (size_t)image->output_components, room = ROW_BYTES / stride;
    const JDIMENSION most = room == 0 || room > ROWS_AT_ONCE ? ROWS_AT_ONCE : (JDIMENSION)room;
    while (image->output_scanline < image->output_height) {
        JSAMPROW rows[ROWS_AT_ONCE];
        const JDIMENSION left = image->output_height - image->output_scanline, count = left < most ? left : most;
        uint8_t *const place = to + (size_t)image->output_scanline * stride;
        uint8_t *const begin = room ? reader->rows + CROOKED : place;
        for (JDIMENSION i = 0; i < count; i++)
            rows[i] = begin + i * stride;
        const JDIMENSION done = jpeg_read_scanlines(image, rows, count);
        if (room)
            memcpy(place, begin, done * stride);
    }
}

/* *ours: our Huffman decoder was at work. */
static int read_pixels(struct sl_jpeg_reader *reader, const struct sl_jpeg_way *way, bool *ours, uint8_t *to)
{
    struct jpeg_decompress_struct *image = &reader->image;
    const bool four = image->jpeg_color_space == JCS_CMYK || image->jpeg_color_space == JCS_YCCK;
    reader->stage = "truncated or damaged JPEG";
    *ours = false;
    if (setjmp(reader->failed) != 0)
        return reader->status;
    image->out_color_space = four ? JCS_CMYK : JCS_EXT_RGB;
    image->scale_num = (unsigned)way->eighths;
    image->scale_denom = 8;
    image->dct_method = way->fast ? JDCT_IFAST : JDCT_ISLOW;
    image->do_fancy_upsampling = !way->fast;
    jpeg_start_decompress(image);
    *ours = !way->libjpeg_alone && take_over(reader);
    read_rows(reader, to);
    jpeg_finish_decompress(image);
    return SL_OK;
}

int sl_jpeg_read_pixels(struct sl_jpeg_reader *reader, const struct sl_jpeg_way *way, uint8_t *to)
{
    struct sl_jpeg_header header;
    struct sl_jpeg_way alone = *way;
    bool ours;
    int rc = read_pixels(reader, way, &ours, to);
    if (rc == SL_OK || !ours)
        return rc;
    alone.libjpeg_alone = true;
    jpeg_destroy_decompress(&reader->image);
    rc = sl_jpeg_read_begin(reader, reader->bytes, reader->length, &header);
    return rc == SL_OK ? read_pixels(reader, &alone, &ours, to) : rc;
}

void sl_jpeg_read_end(struct sl_jpeg_reader *reader)
{
    jpeg_destroy_decompress(&reader->image);
}
