// What a CUDA context takes of its device: the driver says only how much of the device is used by all processes.
#pragma once

#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

/// Fills in ContextReport::bytes of the processes of one run. At the end of each process the driver's figure, less what
/// the processes of the run then had allocated, is shared out among their contexts; the smallest share of a device
/// stands, since what other programs hold only adds to it. A share too large for a context is not believed.
void share_out_contexts(std::vector<Report>& reports);

}  // namespace vramtrack
