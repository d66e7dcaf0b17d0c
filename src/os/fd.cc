#include "os/fd.h"

#include <unistd.h>

namespace howdah::os {

void Fd::reset(int fd) {
    // close() is not repeated on EINTR: Linux has released the number by then.
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
}

}  // namespace howdah::os
