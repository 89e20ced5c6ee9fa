#include "config/tables.hpp"

namespace terrane::config::tables {

TableOf<Predict> predict() {
    TableOf<Predict> table("predict", "Sliding-window inference over whole scenes.");
    table.option("window", &Predict::window, "edge of a window; 0: the training crop")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table.option("overlap", &Predict::overlap, "fraction of a window shared with its neighbour")
        .at_least(0)
        .at_most(0.9);
    table.option("batch", &Predict::batch, "windows computed at once")
        .unit("windows")
        .at_least(1)
        .at_most(1 << 16);
    table.option("blend", &Predict::blend, "weights of overlapping windows").one_of({"hann", "mean"});
    table
        .option("symmetries", &Predict::symmetries,
                "every window is also classified mirrored (mirror: 2 passes), upside down too (flips: 4), "
                "and turned "
                "by quarters (all: 8); the probabilities are averaged")
        .one_of({"none", "mirror", "flips", "all"});
    table
        .option("smallest_region", &Predict::smallest_region,
                "regions of the map with fewer pixels take the class of their largest neighbour; 0: as it is")
        .unit("pixels")
        .at_least(0)
        .at_most(1 << 20);
    table.option("confidence", &Predict::confidence, "also write the largest probability");
    table.option("entropy", &Predict::entropy, "also write the entropy of the probabilities");
    table.option("scores", &Predict::scores, "also write every class's probability");
    table.option("quicklook", &Predict::quicklook, "longer edge of the PNG beside the map; 0: none")
        .unit("pixels")
        .at_least(0)
        .at_most(16384);
    return table;
}

TableOf<Data> data() {
    TableOf<Data> table("data", "The tile store.");
    table.option("tiles", &Data::tiles, "its folder, relative to the working folder");
    return table;
}

TableOf<Runtime> runtime() {
    TableOf<Runtime> table("runtime",
                           "What the global options set; each has a named option of the command line.");
    table.option("out", &Runtime::out, "output file or folder").command_line_only();
    table.option("overwrite", &Runtime::overwrite, "replace existing output").command_line_only();
    table.option("dry_run", &Runtime::dry_run, "resolve, open the data, plan the memory, estimate, exit")
        .command_line_only();
    table.option("threads", &Runtime::threads, "threads of a rank; 0: its share of the node's cores")
        .at_least(0)
        .at_most(4096);
    table.option("ram", &Runtime::ram, "memory a rank may use; 0: 80 % of its share of the free memory")
        .unit("MB")
        .at_least(0);
    table.option("seed", &Runtime::seed, "of every random number").at_least(0);
    table
        .option("deterministic", &Runtime::deterministic,
                "run: equal bits for equal rank and thread counts; ranks: training also on 1, 2, 4 ... "
                "train.virtual_shards ranks")
        .one_of({"run", "ranks"});
    table
        .option("device", &Runtime::device,
                "auto: the GPUs if every rank has one that it can use, the CPUs if none has")
        .one_of({"auto", "cpu", "cuda", "ref"});
    table
        .option(
            "gpu_ids", &Runtime::gpu_ids,
            "the GPUs that the ranks of a host take, in the order of their local ranks, counted among the "
            "visible ones; empty: all of them")
        .at_least(0)
        .at_most(1023)
        .distinct();
    table
        .option("device_sums", &Runtime::device_sums,
                "how ranks sum what lies in their GPUs; auto: by NCCL where every rank has a GPU of its own")
        .one_of({"auto", "host"});
    table.option("share_device", &Runtime::share_device,
                 "let ranks use one GPU together: for tests, it is slower than one rank");
    table.option("progress", &Runtime::progress, "auto: a bar on a terminal, else a line every few seconds")
        .one_of({"auto", "bar", "line", "none"});
    table
        .option("collective_timeout", &Runtime::collective_timeout,
                "a collective that takes longer ends the job")
        .unit("seconds")
        .above(0);
    table.option("heartbeat_timeout", &Runtime::heartbeat_timeout, "a rank that is silent for longer is lost")
        .unit("seconds")
        .at_least(0.5);
    table.option("launcher", &Runtime::launcher, "what started the ranks")
        .one_of({"auto", "none", "mpi", "env", "pytorch", "slurm"})
        .command_line_only();
    table
        .option("master_port", &Runtime::master_port, "TCP port where ranks without MPI meet; 0: MASTER_PORT")
        .at_least(0)
        .at_most(65535)
        .command_line_only();
    table
        .option("dist_url", &Runtime::dist_url,
                "where the ranks meet: env://, tcp://HOST:PORT, file:///PATH or mpi://")
        .command_line_only();
    table
        .option("dist_debug", &Runtime::dist_debug,
                "info: buckets and parameters without gradient; detail: ranks compare every collective, too")
        .one_of({"off", "info", "detail"})
        .command_line_only();
    table.option("max_time", &Runtime::max_time, "stop with a checkpoint after this long; 0: no limit")
        .unit("seconds")
        .at_least(0);
    table.option("log_level", &Runtime::log_level, "least important message shown")
        .one_of({"debug", "info", "warning"});
    table.option("log_format", &Runtime::log_format, "of messages").one_of({"text", "json"});
    return table;
}

}  // namespace terrane::config::tables
