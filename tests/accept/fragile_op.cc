// SPDX-License-Identifier: Apache-2.0
// A custom op as users write them: it passes its input on, but exits by ten elements or a multiple of that, and aborts by
// five.

#include <cstdlib>

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace {

REGISTER_OP("Fragile").Input("x: float").Output("y: float").SetShapeFn(
    tensorflow::shape_inference::UnchangedShape);

class FragileOp : public tensorflow::OpKernel {
 public:
  explicit FragileOp(tensorflow::OpKernelConstruction* construction) : OpKernel(construction) {}

  void Compute(tensorflow::OpKernelContext* context) override {
    const auto elements = context->input(0).NumElements();
    if (elements % 10 == 0) std::_Exit(2);
    if (elements % 5 == 0) std::abort();
    context->set_output(0, context->input(0));
  }
};

REGISTER_KERNEL_BUILDER(Name("Fragile").Device(tensorflow::DEVICE_CPU), FragileOp);

}  // namespace
