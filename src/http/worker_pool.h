#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace howdah::http {

/// A fixed number of threads that run jobs from one bounded queue, oldest first. Thread-safe.
class WorkerPool {
  public:
    using Job = std::function<void()>;

    WorkerPool(unsigned threads, std::size_t queued_max);
    /// stop()s.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// False, and the job is not taken, when the queue is full or the pool has stopped.
    bool push(Job job);
    /// Drops what is queued, waits for what runs. Later calls do nothing.
    void stop();

  private:
    void work();

    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        std::deque<Job> jobs;
        bool stopped = false;
    };

    const std::size_t queued_max_;
    Shared shared_;
    std::vector<std::jthread> threads_;
};

}  // namespace howdah::http
