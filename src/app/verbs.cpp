#include "app/verb.hpp"

namespace terrane::app {

// One line per verb: its definition is in verb_<name>.cpp.
extern const Verb data_info_verb;
extern const Verb data_build_verb;
extern const Verb data_verify_verb;
extern const Verb data_stats_verb;
extern const Verb data_preview_verb;
extern const Verb data_synth_verb;
extern const Verb train_verb;
extern const Verb evaluate_verb;
extern const Verb report_verb;
extern const Verb config_check_verb;
extern const Verb config_print_verb;
extern const Verb config_diff_verb;
extern const Verb config_schema_verb;
extern const Verb init_verb;
extern const Verb predict_verb;
extern const Verb import_verb;
extern const Verb export_verb;
extern const Verb inspect_verb;
extern const Verb bench_comm_verb;
extern const Verb bench_io_verb;
extern const Verb bench_ops_verb;
extern const Verb bench_scaling_verb;
extern const Verb bench_step_verb;
extern const Verb doctor_verb;
extern const Verb completion_verb;

const std::vector<const Verb*>& verbs() {
    static const std::vector<const Verb*> table = {
        &init_verb,         &data_info_verb,     &data_build_verb, &data_verify_verb,  &data_stats_verb,
        &data_preview_verb, &data_synth_verb,    &train_verb,      &evaluate_verb,     &predict_verb,
        &import_verb,       &export_verb,        &report_verb,     &config_check_verb, &config_print_verb,
        &config_diff_verb,  &config_schema_verb, &inspect_verb,    &bench_comm_verb,   &bench_io_verb,
        &bench_ops_verb,    &bench_scaling_verb, &bench_step_verb, &doctor_verb,       &completion_verb,
    };
    return table;
}

}  // namespace terrane::app
