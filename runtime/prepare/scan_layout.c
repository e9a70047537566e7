#include "runtime/prepare/scan_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/file_io.h"
#include "runtime/prepare/folder_names.h"
#include "runtime/prepare/scan_report.h"

enum role { TRAIN, VAL, TEST, ROLES };

static const struct {
    const char *name;
    enum role role;
} split_names[] = {
    {"train", TRAIN},    {"training", TRAIN}, {"val", VAL},      {"valid", VAL},
    {"validation", VAL}, {"test", TEST},      {"testing", TEST},
};

static enum role role_of(const char *name)
{
    for (size_t i = 0; i < sizeof split_names / sizeof *split_names; i++)
        if (!strcasecmp(name, split_names[i].name))
            return split_names[i].role;
    return ROLES;
}

/* What a folder holds. */
struct contents {
    char *split[ROLES]; /* the folders' names; NULL: none */
    char *twin[ROLES];  /* another one for the same split */
    size_t splits, others;
    struct sl_left_out rest; /* neither splits nor lists */
};

static void contents_close(struct contents *contents)
{
    for (int role = 0; role < ROLES; role++) {
        free(contents->split[role]);
        free(contents->twin[role]);
    }
}

static int note(struct contents *contents, const char *name, bool is_folder, bool looks_like_folder)
{
    const enum role role = is_folder ? role_of(name) : ROLES;
    if (role == ROLES) {
        contents->others += is_folder;
        if (strcmp(name, "wnids.txt") && strcmp(name, "words.txt"))
            sl_left_out_add(&contents->rest, name, looks_like_folder);
        return SL_OK;
    }
    char **at = contents->split[role] ? &contents->twin[role] : &contents->split[role];
    contents->splits += at == &contents->split[role];
    free(*at);
    *at = strdup(name);
    return *at ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for a name");
}

static int contents_read(const char *folder, struct contents *contents)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(folder, &names, &count));
    for (int i = 0; i < count; i++) {
        bool is_folder = false;
        SL_TRY(sl_holds_images(folder, names[i], &is_folder));
        SL_TRY(note(contents, names[i]->d_name, is_folder, is_folder || names[i]->d_type == DT_DIR));
    }
out:
    sl_names_free(names, count);
    return rc;
}

/* Does one of the splits hold folders? */
static int is_deep(const char *folder, const struct contents *contents, bool *deep)
{
    int rc = SL_OK;
    *deep = false;
    for (int role = 0; role < ROLES && !*deep; role++) {
        struct contents inner = {0};
        char *path = contents->split[role] ? sl_io_path(folder, contents->split[role]) : NULL;
        if (path)
            rc = contents_read(path, &inner);
        else if (contents->split[role])
            rc = SL_SYSTEM;
        *deep = inner.splits + inner.others > 0;
        contents_close(&inner);
        free(path);
        SL_TRY(rc);
    }
out:
    return rc;
}

static int is_tinyimagenet(const char *folder, const struct contents *contents, bool *is)
{
    int rc = SL_OK;
    char *val = NULL;
    SL_TRY(sl_exists_in(folder, "wnids.txt", is));
    if (*is || !contents->split[VAL])
        goto out;
    if (!(val = sl_io_path(folder, contents->split[VAL])))
        SL_FAIL(SL_SYSTEM, "out of memory for a path");
    SL_TRY(sl_exists_in(val, "val_annotations.txt", is));
out:
    free(val);
    return rc;
}

/* Of folders that are taken for classes none may be a whole data set. */
static int refuse_sets(const char *folder)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(folder, &names, &count));
    for (int i = 0; i < count; i++) {
        struct contents inner = {0};
        bool is_folder = false;
        char *path = sl_io_path(folder, names[i]->d_name);
        rc = path ? sl_holds_images(folder, names[i], &is_folder) : SL_SYSTEM;
        if (rc == SL_OK && is_folder)
            rc = contents_read(path, &inner);
        const char *second = inner.split[VAL] ? inner.split[VAL] : inner.split[TEST];
        if (rc == SL_OK && inner.split[TRAIN] && second)
            rc = sl_fail(SL_BAD_DATA,
                         "%s: holds no classes but a data set: %s/ with %s/ and %s/; name that as the input", folder,
                         names[i]->d_name, inner.split[TRAIN], second);
        contents_close(&inner);
        free(path);
        SL_TRY(rc);
    }
out:
    sl_names_free(names, count);
    return rc;
}

static int join(const char *folder, const char *name, char **path)
{
    *path = sl_io_path(folder, name);
    return *path ? SL_OK : SL_SYSTEM;
}

static int refuse_twins(const char *folder, const struct contents *contents, enum role role)
{
    if (!contents->twin[role])
        return SL_OK;
    return sl_fail(SL_BAD_DATA, "%s: %s/ and %s/ are names of one split; leave one there", folder,
                   contents->split[role], contents->twin[role]);
}

static int take_splits(const struct sl_scan *scan, struct contents *contents, struct sl_layout *layout)
{
    int rc = SL_OK;
    const char *folder = scan->options->folder;
    if (!contents->split[TRAIN] && !layout->tinyimagenet)
        SL_FAIL(SL_BAD_DATA, "%s: holds %s/ but no train/", folder,
                contents->split[VAL] ? contents->split[VAL] : contents->split[TEST]);
    layout->stands_in = !contents->split[VAL] && contents->split[TEST] && scan->options->val_fraction < 0;
    const enum role val = layout->stands_in ? TEST : VAL;
    SL_TRY(refuse_twins(folder, contents, TRAIN));
    SL_TRY(refuse_twins(folder, contents, val));
    SL_TRY(join(folder, contents->split[TRAIN] ? contents->split[TRAIN] : "train", &layout->train));
    if (contents->split[val])
        SL_TRY(join(folder, contents->split[val], &layout->val));
    if (contents->split[TEST] && val != TEST)
        sl_left_out_add(&contents->rest, contents->split[TEST], true);
    if (contents->twin[TEST] && val != TEST)
        sl_left_out_add(&contents->rest, contents->twin[TEST], true);
    sl_left_out_say(&contents->rest, scan, folder);
out:
    return rc;
}

/* Folders with the names of splits that hold no folders: one of them among others is a class. */
static int take_flat(const struct sl_scan *scan, const struct contents *contents)
{
    const char *folder = scan->options->folder;
    for (int role = 0; role < ROLES; role++) {
        if (!contents->split[role])
            continue;
        if (contents->splits > 1 || contents->others == 0)
            return sl_fail(SL_MISSING, "%s/%s: no class folders; expected TinyImageNet's layout or %s/CLASS/*.jpg",
                           folder, contents->split[role], contents->split[role]);
        sl_tell(scan->options->report, scan->options->self,
                "%s/%s holds no folders: it is taken for a class, not for a split", folder, contents->split[role]);
    }
    return SL_OK;
}

int sl_layout_find(const struct sl_scan *scan, struct sl_layout *layout)
{
    int rc = SL_OK;
    bool deep = false;
    struct contents contents = {0};
    const char *folder = scan->options->folder;
    SL_TRY(contents_read(folder, &contents));
    SL_TRY(is_tinyimagenet(folder, &contents, &layout->tinyimagenet));
    SL_TRY(is_deep(folder, &contents, &deep));
    if (layout->tinyimagenet || deep) {
        SL_TRY(take_splits(scan, &contents, layout));
    } else {
        SL_TRY(take_flat(scan, &contents));
        SL_TRY(refuse_sets(folder));
        if (!(layout->train = strdup(folder)))
            SL_FAIL(SL_SYSTEM, "out of memory for a path");
    }
out:
    contents_close(&contents);
    return rc;
}

void sl_layout_close(struct sl_layout *layout)
{
    free(layout->train);
    free(layout->val);
    *layout = (struct sl_layout){0};
}
