#pragma once

#include "cuda/class_maps.hpp"

/// How a gradient at the labels' resolution becomes one of the logits: first
/// along the columns, then along the rows.
namespace terrane::cuda {

/// One segment of source columns in one row of labels: each label pixel that
/// reads them is evaluated once, by a thread; then the pixels' slopes are added
/// up per source column and class, in the order of the pixels. Loss: float
/// slope(const PixelTerms&, float logit, label, place, c) const, and what
/// PreparePixel asks for. few: at most class_chunk classes; then a pixel's
/// logits stay in registers.
template <typename T, typename Loss, bool few>
struct CollapseLabelColumns {
    static constexpr int threads = block_threads;
    struct Shared {
        float slopes[class_chunk][threads + 1];
        int index0[threads], index1[threads];                    ///< what a label column reads
        float weight0[threads], weight1[threads];                ///< and how
        float maximum[threads], log_sum[threads], own[threads];  ///< PixelTerms
        int begins[threads],
            ends[threads];  ///< label columns that read a source column
    };
    ClassMaps<T> maps;
    Loss loss;
    Divisor segments;     ///< of a row
    int segment_columns;  ///< at most `threads`
    Divisor chunk;        ///< classes per chunk
    float* partial;       ///< [batch, label rows, source columns, classes]

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const int line = static_cast<int>(index) / segments, n = line / maps.height;
        const int first = (static_cast<int>(index) - line * segments) * segment_columns;
        const int rest = maps.columns.in - first, sources = rest < segment_columns ? rest : segment_columns;
        const int classes = static_cast<int>(maps.classes);
        const formulas::Tap<float, int> row = maps.rows.tap(line - n * maps.height);
        team.each([&](int thread) {
            if (thread >= sources) return;
            const formulas::Range range = maps.columns.readers(first + thread);
            team.shared.begins[thread] = static_cast<int>(range.begin);
            team.shared.ends[thread] = static_cast<int>(range.end);
        });
        const int begin = team.shared.begins[0];
        const int end = team.shared.ends[0] > team.shared.ends[sources - 1] ? team.shared.ends[0]
                                                                            : team.shared.ends[sources - 1];
        // Once at least: what nobody reads has gradient 0.
        for (int tile = begin; tile == begin || tile < end; tile += threads) {
            for (int c = 0; c < classes; c += chunk) {
                team.each([&](int thread) {
                    const int column = tile + thread;
                    if (column < end) evaluate(team.shared, thread, line, n, row, column, c);
                });
                const int width = classes - c < chunk ? classes - c : static_cast<int>(chunk);
                team.each([&](int thread) {
                    for (int item = thread; item < sources * width; item += threads) {
                        const int source = width == chunk ? item / chunk : item / width;
                        const int k = item - source * width;
                        float& sum =
                            partial[(static_cast<std::int64_t>(line) * maps.columns.in + first + source) *
                                        classes +
                                    c + k];
                        sum = add_up(team.shared, tile, source, first, k, tile == begin ? 0.0f : sum);
                    }
                });
            }
        }
    }

  private:
    /// Leaves the tap of a label column and the pixel's slopes of the classes
    /// from c on.
    TERRANE_HOST_DEVICE void evaluate(Shared& shared, int thread, int line, int n,
                                      const formulas::Tap<float, int>& row, int column, int c) const {
        const formulas::Tap<float, int> own = maps.columns.tap(column);
        shared.index0[thread] = own.index0;
        shared.index1[thread] = own.index1;
        shared.weight0[thread] = own.weight0;
        shared.weight1[thread] = own.weight1;
        const std::int64_t place = static_cast<std::int64_t>(line) * maps.width + column;
        const int classes = static_cast<int>(maps.classes);
        if (!maps.is_valid(place)) {
            for (int k = 0; k < class_chunk; ++k) shared.slopes[k][thread] = 0;
            return;
        }
        const PixelTaps taps = maps.taps(n, row, own);
        const std::int64_t label = maps.label(place);
        if constexpr (few) {
            float logits[class_chunk];
            read_few(maps, taps, logits);
            PixelTerms terms;
            terms.normaliser = formulas::softmax_normaliser(logits, class_chunk);
            terms.own = loss.prepare(logits, terms.normaliser, label, place);
            TERRANE_UNROLL
            for (int k = 0; k < class_chunk; ++k) {
                if (k < classes) shared.slopes[k][thread] = loss.slope(terms, logits[k], label, place, k);
            }
        } else {
            if (c == 0) {
                float logits[most_classes];
                for (int k = 0; k < classes; ++k) logits[k] = maps.logit(taps, k);
                const auto normaliser = formulas::softmax_normaliser(logits, classes);
                shared.maximum[thread] = normaliser.maximum;
                shared.log_sum[thread] = normaliser.log_sum;
                shared.own[thread] = loss.prepare(logits, normaliser, label, place);
            }
            const PixelTerms terms{{shared.maximum[thread], shared.log_sum[thread]}, shared.own[thread]};
            for (int k = 0; k < class_chunk && c + k < classes; ++k) {
                shared.slopes[k][thread] = loss.slope(terms, maps.logit(taps, c + k), label, place, c + k);
            }
        }
    }
    /// `sum` and what the label columns of a tile add to it.
    TERRANE_HOST_DEVICE float add_up(const Shared& shared, int tile, int source, int first, int k,
                                     float sum) const {
        const int from = shared.begins[source] > tile ? shared.begins[source] - tile : 0;
        const int behind = shared.ends[source] - tile, to = behind < threads ? behind : threads;
        for (int i = from; i < to; ++i) {
            const formulas::Tap<float, int> tap{shared.index0[i], shared.index1[i], shared.weight0[i],
                                                shared.weight1[i]};
            sum += formulas::reading_weight(tap, first + source) * shared.slopes[k][i];
        }
        return sum;
    }
};

/// The gradient of logits by a loss at the labels' resolution.
class LogitGather {
  public:
    LogitGather() = default;
    LogitGather(std::int64_t batch, std::int64_t classes, const ResizedAxis& rows, const ResizedAxis& columns)
        : batch_(batch), classes_(classes), rows_(rows), columns_(columns) {
        segment_columns_ = std::min(columns.in, block_threads);
        while (segment_columns_ > 1 && !fits_team(segment_columns_)) --segment_columns_;
        segments_ = (columns.in + segment_columns_ - 1) / segment_columns_;
        segment_columns_ = (columns.in + segments_ - 1) / segments_;
        segments_ = (columns.in + segment_columns_ - 1) / segment_columns_;
    }
    std::size_t workspace() const { return carved<float>(batch_ * rows_.out * columns_.in * classes_); }

    /// share: what the slopes are multiplied by; null: 1.
    template <typename T, typename Loss>
    void launch(Queue queue, const ClassMaps<T>& maps, const Loss& loss, float* partial, const double* share,
                T* gradient) const {
        if (classes_ <= class_chunk) {
            collapse<true>(queue, maps, loss, partial);
        } else {
            collapse<false>(queue, maps, loss, partial);
        }
        const std::int64_t line = columns_.in * classes_;
        launch_maps<T>(queue, batch_, rows_.in, 1, line,
                       CollapseRows<T>{partial, share, gradient, rows_, static_cast<int>(line)});
    }

  private:
    template <bool few, typename T, typename Loss>
    void collapse(Queue queue, const ClassMaps<T>& maps, const Loss& loss, float* partial) const {
        launch_teams(queue, batch_ * rows_.out * segments_,
                     CollapseLabelColumns<T, Loss, few>{
                         maps, loss, Divisor(segments_), segment_columns_,
                         Divisor(std::min<std::int64_t>(classes_, class_chunk)), partial});
    }
    /// Whether every segment of so many source columns is read by no more label
    /// columns than a team has threads.
    bool fits_team(int count) const {
        for (int first = 0; first < columns_.in; first += count) {
            const int last = std::min(first + count, columns_.in) - 1;
            const auto end = std::max(columns_.readers(first).end, columns_.readers(last).end);
            if (end - columns_.readers(first).begin > block_threads) return false;
        }
        return true;
    }

    std::int64_t batch_ = 0, classes_ = 0;
    ResizedAxis rows_, columns_;
    int segment_columns_ = 1, segments_ = 1;
};

}  // namespace terrane::cuda
