import { editorTestids } from './editor/testids';

/** Every `data-testid` of the pages and the editor; the Playwright tests use the literal values, so they stay as they are. */
export const testids = {
  ...editorTestids,
  app: 'app',
  problem: 'problem',
  problemRetry: 'problem-retry',

  // the bar on top
  navHome: 'nav-home',
  navReviews: 'nav-reviews',
  navBrowse: 'nav-browse',
  navTeam: 'nav-team',
  navGuidelines: 'nav-guidelines',
  themeSwitch: 'theme-switch',
  person: 'person',
  signOut: 'sign-out',

  // signing in
  signInForm: 'sign-in-form',
  signInToken: 'sign-in-token',
  signInSubmit: 'sign-in-submit',
  signInError: 'sign-in-error',
  signInAgain: 'sign-in-again',

  // home
  home: 'home',
  feedback: 'feedback',
  feedbackTask: 'feedback-task',
  feedbackOpen: 'feedback-open',
  waiting: 'waiting-for-review',
  pinResolve: 'pin-resolve',
  unsentWork: 'unsent-work',
  unsentOpen: 'unsent-open',
  unsentDiscard: 'unsent-discard',
  start: 'start',
  todayMasks: 'today-masks',
  todayTasks: 'today-tasks',
  todaySecondsPerMask: 'today-seconds-per-mask',
  roundProgress: 'round-progress',
  pilotState: 'pilot-state',

  // a task around the editor
  taskPage: 'task-page',
  taskEmpty: 'task-empty',
  taskBanner: 'task-banner',
  taskLeaseAgain: 'task-lease-again',
  taskLeaveOut: 'task-leave-out',
  taskLook: 'task-look',

  // reviews
  reviews: 'reviews',
  reviewsStart: 'reviews-start',
  reviewsTab: 'reviews-tab',
  reviewsRow: 'reviews-row',
  reviewsOpen: 'reviews-open',
  reviewsRelease: 'reviews-release',
  reviewsMore: 'reviews-more',
  reviewsDay: 'reviews-day',

  // browse
  browse: 'browse',
  browseSource: 'browse-source',
  browseLabel: 'browse-label',
  browseMinPredictedIou: 'browse-min-predicted-iou',
  browseMinStability: 'browse-min-stability',
  browseMinArea: 'browse-min-area',
  browseMaxArea: 'browse-max-area',
  browseAnnotator: 'browse-annotator',
  browseRound: 'browse-round',
  browseReset: 'browse-reset',
  browsePicture: 'browse-picture',
  browseCount: 'browse-count',
  browseEnd: 'browse-end',
  browseViewer: 'browse-viewer',
  browseClose: 'browse-close',
  browsePrevious: 'browse-previous',
  browseNext: 'browse-next',
  browseMask: 'browse-mask',
  browseMaskFacts: 'browse-mask-facts',

  // team
  team: 'team',
  teamRound: 'team-round',
  teamRow: 'team-row',
  teamPilot: 'team-pilot',
  teamCase: 'team-case',
  teamCaseAnswer: 'team-case-answer',
  teamCaseSubmit: 'team-case-submit',

  // guidelines
  guidelines: 'guidelines',
  guidelinesText: 'guidelines-text',
  guidelinesCase: 'guidelines-case',
} as const;
