#include "bench/conv_layers.h"

#include <fstream>
#include <sstream>

namespace
{
constexpr struct {
    char letter;
    sl_op op;
} kPasses[] = {{'f', SL_OP_conv2d_fwd}, {'d', SL_OP_conv2d_bwd_data}, {'w', SL_OP_conv2d_bwd_weights}};

bool is_pass(sl_op op)
{
    for (const auto &pass : kPasses)
        if (pass.op == op)
            return true;
    return false;
}

bool lists(const std::string &names, const std::string &name)
{
    return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

bool parse_line(const std::string &line, ConvLayer *layer)
{
    sl_conv2d s = {};
    std::string passes;
    std::istringstream in(line);
    if (!(in >> layer->name >> s.h >> s.w >> s.c >> s.k >> s.kh >> s.kw >> s.stride_h >> s.pad_top >> s.pad_left >>
          s.oh >> s.ow >> passes))
        return false;
    s.stride_w = s.stride_h;
    s.xs = s.c == 3 ? 3 : sl_round_up(s.c, SL_LANES);
    s.ys = sl_round_up(s.k, SL_LANES);
    layer->shape = s;
    for (const auto &pass : kPasses)
        if (passes.find(pass.letter) != std::string::npos)
            layer->passes.push_back(pass.op);
    return true;
}
} // namespace

std::vector<ConvLayer> read_conv_layers(const std::string &path, const std::string &only, int batch, sl_element element)
{
    std::vector<ConvLayer> layers;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        ConvLayer layer;
        if (line.empty() || line[0] == '#' || !parse_line(line, &layer) || (!only.empty() && layer.name != only))
            continue;
        layer.shape.n = batch;
        layer.shape.element = element;
        layers.push_back(layer);
    }
    return layers;
}

std::vector<const sl_kernel_row *> find_conv_rows(const sl_device &device, sl_op op, const sl_conv2d &shape,
                                                  const std::string &names)
{
    std::vector<const sl_kernel_row *> rows;
    if (names.empty()) {
        sl_choice choice;
        if (sl_choose(&device, op, &shape, &choice) == SL_OK)
            rows.push_back(sl_choice_row(&choice));
        sl_choice_close(&choice);
        return rows;
    }
    for (const sl_kernel_row *row = device.rows; row < device.rows + device.row_count; row++) {
        sl_need need;
        const bool wanted = names == "all" ? !(row->needs & SL_CPU) : lists(names, row->name);
        if (wanted && sl_row_takes(row, op, &shape, device.isa, &need))
            rows.push_back(row);
    }
    return rows;
}

std::string find_unknown_row(const std::string &names)
{
    std::istringstream in(names == "all" ? "" : names);
    for (std::string name; std::getline(in, name, ',');) {
        bool known = false;
        for (size_t i = 0; i < sl_kernel_row_count && !known; i++)
            known = is_pass(sl_kernel_rows[i].op) && name == sl_kernel_rows[i].name;
        if (!known)
            return name;
    }
    return "";
}

OurConv::OurConv(const sl_device &device, const sl_kernel_row &row, const sl_conv2d &shape)
    : device_(device), shape_(shape)
{
    sl_need need;
    check_must(sl_row_takes(&row, row.op, &shape_, device.isa, &need), row.symbol);
    parts_ = {static_cast<int64_t>(sl_conv2d_weights(&shape_)), static_cast<int32_t>(need.parts), SL_ELEMENT_F32};
    if (need.parts)
        check_must(sl_choose_weighted_sum(&device, &parts_, &sum_) == SL_OK, row.symbol);
    device_.rows = &row; // the only choice
    device_.row_count = 1;
    case_.measured = true;
    check_must(sl_choose(&device_, row.op, &shape_, &choice_) == SL_OK, row.symbol);
    check_must(check_set_up(&case_, check_find_op(row.op), &shape_, &row), row.symbol);
    if (sl_choice_need(&choice_)->packed) {
        weights_ = static_cast<const float *>(check_find(&case_, "weights"));
        packed_ = check_find(&case_, "packed");
    }
}

OurConv::~OurConv()
{
    check_release(&case_);
    sl_choice_close(&choice_);
    sl_choice_close(&sum_);
}

void OurConv::run()
{
    if (packed_)
        sl_launch_pack(&choice_, &shape_, weights_, packed_);
    sl_launch(&choice_, choice_.op, &shape_, case_.args.bytes);
    if (parts_.parts) {
        const sl_weighted_sum sum = {static_cast<const float *>(check_find(&case_, "parts")), nullptr,
                                     static_cast<float *>(check_find(&case_, "dw"))};
        sl_launch_weighted_sum(&sum_, &parts_, &sum);
    }
}

double OurConv::flops() const
{
    const double flops = sl_choice_need(&choice_)->flops;
    return flops > 0.0 ? flops : sl_conv2d_flops(&shape_);
}
