// trace.dat files of trace-cmd, versions 6 and 7.
#pragma once

#include <memory>
#include <string_view>

#include "mmbox/lab/trace/reader.h"

namespace mmbox::lab {

/// What every trace.dat begins with.
inline constexpr std::string_view kDatMagic{"\x17\x08\x44tracing", 10};

/// Reads a trace.dat through libtracecmd, which must seek: what is compressed or piped goes to a temporary file first.
Expected<std::unique_ptr<TraceReader>> open_dat(ByteSource source, const TraceOptions& options);

}  // namespace mmbox::lab
