// The data that Python embeds in the pages, and what the scripts make of it. Numbers in columns
// are in base64 (`duetal.pages.columns`); classes, videos and thresholds are indices.

/** A branch of the model: its name in files, what the page calls it, its colour and shape. */
export interface Branch {
  name: string;
  title: string;
  mark: string;
}

/**
 * When snippets are: frames per second, frames from one snippet to the next, frames in one, and
 * the seconds of a video's first frame.
 */
export interface Grid {
  fps: number;
  stride: number;
  window: number;
  begin?: number;
}

/** One evaluated stage; `branch` is null where all branches act together. */
export interface StagePoint {
  title: string;
  short: string;
  branch: string | null;
  mark: string;
}

export interface JourneyPoint extends StagePoint {
  /** The place of the point that taught this one, null where none did. */
  teacher: number | null;
  mean: number;
  spread: number | null;
}

export interface PrecisionRecallPoint extends StagePoint {
  precision: number;
  recall: number;
}

/** Values of each run by epoch; null where the loss was not finite. */
export interface LossSeries {
  name: string;
  runs: [number, number | null][][];
}

export interface PhaseCurves {
  phase: string;
  title: string;
  branch: string;
  mark: string;
  series: LossSeries[];
}

export interface SegmentColumns {
  offsets: string;
  label: string;
  start: string;
  end: string;
}

export interface LaneData extends SegmentColumns {
  title: string;
  short: string;
  mark: string;
  total: number;
  score: string;
  kind?: string;
  missed?: string;
}

/** Curves by branch and class; pseudo-labels by phase and class. */
export interface VideoSignals {
  begin?: number;
  snippets?: number;
  pool?: number;
  scores?: Record<string, Record<number, string>>;
  labelled?: number;
  labels?: Record<number, Record<number, string>>;
}

export interface RunSignals {
  title: string;
  grid: Grid;
  phases: string[];
  videos: Record<number, VideoSignals>;
}

export interface ExplorerData {
  classes: string[];
  kinds: string[];
  tiou: number[];
  /** The threshold that is chosen first. */
  shown: number;
  /** Whether lanes are runs to be compared, and not stages of one run. */
  compared: boolean;
  branches: Branch[];
  videos: string[];
  durations: (number | null)[];
  training: number[];
  truth: SegmentColumns;
  lanes: LaneData[];
  signals: RunSignals[];
}

export interface ContendersPage {
  explorer: ExplorerData;
}

export interface RunPage extends ContendersPage {
  branches: Branch[];
  headline: string;
  journey: JourneyPoint[];
  precisionRecall: PrecisionRecallPoint[];
  training: PhaseCurves[];
}

/** A video's file as the player needs it. */
export interface PlayedFile {
  name: string;
  url: string | null;
  /** Seconds of the first picture on the clock of the detections. */
  begin: number;
  /** Seconds that the file's own clock shows then. */
  offset: number;
  /** Pictures a second. */
  fps: number;
  duration: number;
  note: string;
}

export interface PlayedVideo extends PlayedFile {
  pool: number;
  classes: number[];
  scores: Record<string, Record<number, string>>;
  /** Class, start, end, score, and whether it is written over the picture. */
  detections: [number, number, number, number, number][];
  /** Detections that the page does not hold. */
  left: number;
}

export interface PlayerPage {
  classes: string[];
  branches: Branch[];
  /** Of the detections. */
  mark: string;
  grid: Grid;
  floor: number;
  best: number;
  videos: PlayedVideo[];
}

// What the server of a review (`duetal.review.review_app`) answers.

export type StatementKind = 'action' | 'label' | 'looked' | 'class';
export type Verdict = 'open' | 'accepted' | 'rejected';
export type StatementRow = [number, StatementKind, string, number, number, number | null, Verdict];

export interface Step {
  entry: number;
  title: string;
}

/** What has changed since an entry of the journal; videos by their number. */
export interface ReviewNews {
  states: Record<number, StatementRow[]>;
  versions: Record<number, number>;
  classes: string[];
  last: number;
  undo: Step | null;
  redo: Step | null;
  error?: string;
  title?: string;
  /** The videos that an action, or its undo, is about. */
  videos?: number[];
}

export interface ReviewData extends Omit<ReviewNews, 'videos' | 'title' | 'error'> {
  branches: Branch[];
  mark: string;
  grid: Grid;
  floor: number;
  /** Pictures in a video's strip. */
  stills: number;
  /** Tells this opening of the review from others at the same address. */
  opened: string;
  videos: PlayedFile[];
}

/** How much better a round's run is than the one before, from 0 to 1. */
export interface TrainingGain {
  headline: string;
  before: number;
  after: number;
  low: number;
  high: number;
  videos: number;
}

/** See `duetal.own_videos.training_rounds`. */
export interface TrainingRound {
  number: number;
  told: string;
  state: 'running' | 'stopped' | 'failed' | 'done';
  seconds: number;
  cause: string;
  gain: TrainingGain | null;
}

export interface TrainingState {
  rounds: TrainingRound[];
  /** The round whose proposals are shown; 0: the first ones. */
  shown: number;
  /** The name of the run that found the first proposals, or empty. */
  run: string;
  busy: boolean;
  /** The last line that the round under way printed. */
  progress: string;
}
/** A stretch of a video to look through for a class. */
export interface ReviewSuggestion extends Span {
  video: number;
  label: string;
  /** Seconds at which it is most in doubt. */
  at: number;
  reason: string;
}

export interface ReviewNext {
  next: ReviewSuggestion[];
  /** What the order is made of. */
  basis: string;
}

/** What a person does; see `duetal.review.actions`. */
export interface ReviewAction {
  verb: string;
  numbers?: number[];
  label?: string;
  start?: number;
  end?: number;
  present?: string[];
  absent?: string[];
}

// What the scripts make of it.

/** One statement of a review. */
export interface Statement extends Span {
  number: number;
  kind: StatementKind;
  label: string;
  score: number | null;
  verdict: Verdict;
}

export interface ReviewVideo extends PlayedFile {
  index: number;
  version: number;
  statements: Statement[];
}

/** Curves of a video by branch and class. */
export interface ReviewCurves {
  pool: number;
  scores: Record<string, Record<string, string>>;
}

export interface ReviewFilter {
  text: string;
  label: string;
  floor: number;
  /** A verdict, "added", or empty for all. */
  verdict: string;
  /** Which videos: "", "new", "begun" or "done". */
  progress: string;
}

/** What a review shows at the moment. */
export interface ReviewState {
  video: ReviewVideo;
  curves: ReviewCurves | null;
  /** The class that is added, and whose curves are shown. */
  label: string;
  shown: Statement[];
  selected: Set<number>;
  view: Pair;
  /** Where an action begins that is being added. */
  pending: number | null;
}

/** Seconds. */
export interface Span {
  start: number;
  end: number;
}

export interface Segment extends Span {
  row: number;
  label: number;
}

export interface Prediction extends Segment {
  score: number;
  kind: number | null;
}

export interface LanePrediction extends Prediction {
  lane: number;
}

/** A prediction of the player. */
export interface Detection extends Span {
  label: number;
  score: number;
  captioned: boolean;
}

export interface Proposal extends Span {
  score: number;
}

/** Consecutive snippets with one pseudo-label. */
export interface LabelRun {
  label: number;
  first: number;
  stop: number;
}

export interface Curve {
  branch: Branch;
  values: Float32Array;
}

/** A curve as it is drawn and cut, and the scores that it was made of. */
export interface CutCurve extends Curve {
  scores: Float32Array;
}

/** What a timeline shows of its video. */
export interface ShownVideo {
  segments: Segment[];
  lanes: number[];
  signals: VideoSignals | null;
  label: number;
  view: Pair;
  duration: number | null;
  grid: Grid;
  annotated: Set<number>;
  classes: number[];
  curves: CutCurve[];
  labels: { phase: string; runs: LabelRun[] }[];
}

export type RowContent = { label: number } & (
  | { what: 'class' }
  | { what: 'truth' }
  | { what: 'lane'; lane: number }
  | { what: 'proposals'; curve: CutCurve }
  | { what: 'labels'; phase: string; runs: LabelRun[] }
);

/** A row of a timeline, in pixels. */
export type Row = RowContent & { top: number; height: number };

/** What a pointer finds on a timeline. */
export interface Found extends Span {
  prediction?: Prediction;
  score?: number;
  isMissed?: boolean;
}

/** What a player shows at the moment. */
export interface PlayerState {
  index: number;
  video: PlayedVideo;
  /** The class whose curves are shown, -1 where there is none. */
  label: number;
  floor: number;
  shown: Detection[];
  best: number;
  view: Pair;
  selected: Detection | null;
}

export type Pair = [number, number];

/** A linear map from data to pixels. */
export interface Scale {
  (value: number): number;
  invert(pixel: number): number;
  domain: Pair;
  range: Pair;
}
