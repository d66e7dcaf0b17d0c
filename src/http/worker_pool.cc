#include "http/worker_pool.h"

#include <utility>

namespace howdah::http {

WorkerPool::WorkerPool(unsigned threads, std::size_t queued_max) : queued_max_(queued_max) {
    threads_.reserve(threads);
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::push(Job job) {
    {
        const std::lock_guard lock(shared_.mutex);
        if (shared_.stopped || shared_.jobs.size() >= queued_max_) return false;
        shared_.jobs.push_back(std::move(job));
    }
    shared_.changed.notify_one();
    return true;
}

void WorkerPool::stop() {
    std::deque<Job> dropped;
    {
        const std::lock_guard lock(shared_.mutex);
        shared_.stopped = true;
        dropped.swap(shared_.jobs);
    }
    shared_.changed.notify_all();
    dropped.clear();
    threads_.clear();
}

void WorkerPool::work() {
    for (;;) {
        Job job;
        {
            std::unique_lock lock(shared_.mutex);
            shared_.changed.wait(lock, [this] { return shared_.stopped || !shared_.jobs.empty(); });
            if (shared_.stopped) return;
            job = std::move(shared_.jobs.front());
            shared_.jobs.pop_front();
        }
        job();
    }
}

}  // namespace howdah::http
