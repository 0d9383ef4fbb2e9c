import type { Role, Session } from '../api/types';

const ROLES: readonly Role[] = ['annotator', 'reviewer', 'lead'];

/** Whether a person may do what the role may. */
export function may(session: Session, role: Role): boolean {
  return ROLES.indexOf(session.annotator.role) >= ROLES.indexOf(role);
}
