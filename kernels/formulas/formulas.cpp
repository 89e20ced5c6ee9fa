// Every header here stands alone and compiles for the host.
#include "formulas/activation.hpp"
#include "formulas/adaptive_pool.hpp"
#include "formulas/bilinear.hpp"
#include "formulas/class_loss.hpp"
#include "formulas/dropout.hpp"
#include "formulas/norm.hpp"
#include "formulas/sample.hpp"
#include "formulas/update.hpp"
